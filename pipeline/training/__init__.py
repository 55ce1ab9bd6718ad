"""Training of EERCF: data, one global step, schedule, checkpoints, validation, and the shell over Ray Train."""
