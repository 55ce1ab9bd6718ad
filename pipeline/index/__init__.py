"""The two-stage index: Milvus for coarse vectors, fixed-record shards for fine tokens, versions that bind them."""
