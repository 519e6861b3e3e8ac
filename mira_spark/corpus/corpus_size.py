"""How large a corpus is, taken in or supposed."""

from typing import NamedTuple


class CorpusSize(NamedTuple):
    """Documents, their tokens by the corpus' tokenizer, their bytes of UTF-8, and sources; each at
    least 1."""

    documents: int
    tokens: int
    bytes: int
    sources: int

    @property
    def tokens_per_document(self) -> float:
        """The mean."""
        return self.tokens / self.documents

    @property
    def bytes_per_token(self) -> float:
        """The mean."""
        return self.bytes / self.tokens
