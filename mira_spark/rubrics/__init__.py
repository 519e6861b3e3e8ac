"""The dimensions of a group."""
