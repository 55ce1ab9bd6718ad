"""Whether tables, and an index made of them, are what their plan, commits and manifest say."""
