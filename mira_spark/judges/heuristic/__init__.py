"""The heuristic judge, a stand-in that measures computable properties."""
