"""Calls of a judge: asked once, paid once, durable before they are read."""
