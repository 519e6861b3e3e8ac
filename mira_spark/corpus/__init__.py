"""Texts in: documents, samples of them, their tokens, their sources in groups."""
