"""Retrieval figures of a model on captioned videos: scores, ranks, costs, and a page that shows them."""
