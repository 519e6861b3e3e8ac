"""Numbers drawn for documents by hash: the same on every machine and in every run."""

import hashlib


def draw(doc_id: str, purpose: str) -> float:
    """A number in [0, 1) that is always the same for a document and purpose, and even over many."""
    digest = hashlib.sha256(f"{purpose}\x00{doc_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
