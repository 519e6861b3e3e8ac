"""How many tokens a text has: `bytes4` (no model) or any Hugging Face tokenizer.json."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mira_spark.errors import ConfigError

BYTES4 = "bytes4"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer as it travels to executors: its id, the digest of its file, and the file."""

    name: str
    digest: str
    definition: str | None

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not counted."""
        if self.definition is None:
            return [-(-len(text.encode("utf-8", "surrogatepass")) // 4) for text in texts]
        encoded = _built(self.definition).encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) for one in encoded]


def tokenizer(name: str) -> Tokenizer:
    """`bytes4` (UTF-8 bytes / 4, rounded up) or the tokenizer.json at path `name`.

    Raises ConfigError when there is no such file or it is not a tokenizer.
    """
    if name == BYTES4:
        return Tokenizer(BYTES4, "none", None)
    path = Path(name)
    try:
        definition = path.read_text(encoding="utf-8")
        _built(definition)
    except Exception as error:
        raise ConfigError(
            f"corpus.tokenizer: {name} should be bytes4 or a tokenizer.json: {error}"
        ) from error
    digest = hashlib.sha256(definition.encode()).hexdigest()
    return Tokenizer(path.parent.name or path.name, digest, definition)


@functools.lru_cache(maxsize=4)
def _built(definition: str) -> Any:
    from tokenizers import Tokenizer as HuggingFaceTokenizer

    built = HuggingFaceTokenizer.from_str(definition)
    built.no_truncation()
    built.no_padding()
    return built
