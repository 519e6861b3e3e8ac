"""Texts as vectors, by hashed words, an encoder or an endpoint."""
