"""The judge's answers on them."""
