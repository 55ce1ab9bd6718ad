"""Captioned videos out of annotation files: the published sets of video-text retrieval, and our own captions.jsonl."""
