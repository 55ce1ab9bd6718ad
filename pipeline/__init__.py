"""How data moves: sources, decoding, extraction, the index, search and serving."""
