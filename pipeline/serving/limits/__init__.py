"""What keeps answers timely: admission, deadlines, the breaker before Milvus, versions held and followed."""
