"""Stages of extraction: each a pure function with a thin shell, one a file."""
