"""Tensors in, tensors out: preprocessing, towers, temporal transformer, scoring and weights. No Ray, no storage."""
