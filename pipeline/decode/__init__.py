"""Frames out of video files: probed first, decoded by the decoder proven right, in a child that may be killed."""
