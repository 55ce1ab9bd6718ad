"""Procedural captioned videos: scenes, captions, rendering, files."""
