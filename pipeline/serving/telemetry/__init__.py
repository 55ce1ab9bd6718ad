"""What is told of requests: figures, one line each in the log, traces."""
