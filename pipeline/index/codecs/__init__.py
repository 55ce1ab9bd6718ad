"""Forms in which the fine tokens of a clip are stored: how they are written, and the views that are scored."""
