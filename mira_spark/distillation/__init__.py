"""How a student is trained, measured and registered."""
