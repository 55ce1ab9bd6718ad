"""Entry points: parse, call one pipeline function, print a summary, exit."""
