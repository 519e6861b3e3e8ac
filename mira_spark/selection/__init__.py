"""Which documents are selected within a token budget."""
