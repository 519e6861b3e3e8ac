"""How many tokens a text has: `bytes4` (no model) or any Hugging Face tokenizer.json."""

import atexit
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mira_spark.errors import ConfigError
from mira_spark.process.child_process import ChildProcess, Died

BYTES4 = "bytes4"
_PIECE = 65_536
"""Characters that a tokenizer sees at once: the patterns of some give up on millions of spaces."""
PIECES_AT_ONCE = 64
LEAST_S = 60.0
CHARACTERS_PER_S = 50_000
"""So slow a text may be beyond the first LEAST_S; tokenizers do a hundred times as many."""
MEMORY = 4 << 30
"""Bytes that a text may take above those of the tokenizer."""
_TEXTS = pa.schema([("text", pa.large_string())])
COUNTS = pa.schema([("tokens", pa.int64())])


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer as it travels to executors: its id, the digest of its file, and the file."""

    name: str
    digest: str
    definition: str | None

    def count(self, texts: Sequence[str]) -> list[int | None]:
        """Tokens of each text. None for one that the tokenizer cannot count: it fails, takes more
        than LEAST_S and a second for CHARACTERS_PER_S, or more than MEMORY.

        Special tokens are not counted, and spelt in a text they are text. A text of more than PIECE
        characters is the sum of its pieces, so a few tokens more may be counted where it is cut.
        """
        if self.definition is None:
            return [-(-len(text.encode("utf-8", "surrogatepass")) // 4) for text in texts]
        token_counts: list[int | None] = []
        for some in _batches(texts):
            try:
                token_counts += _count_in_child(self.definition, some)
            except Died:
                token_counts += [_count_alone(self.definition, text) for text in some]
        return token_counts


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


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, as many together as PIECES_AT_ONCE hold; a longer one by itself."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > _PIECE * PIECES_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _count_alone(definition: str, text: str) -> int | None:
    try:
        return _count_in_child(definition, [text])[0]
    except Died:
        return None


def _count_in_child(definition: str, texts: Sequence[str]) -> list[int | None]:
    """Tokens of the texts, by a child process; Died when they killed it."""
    pieces = [[text[i : i + _PIECE] for i in range(0, len(text), _PIECE)] for text in texts]
    flat = [piece.encode(errors="replace") for some in pieces for piece in some]
    column = pa.array(flat, pa.large_binary()).cast(pa.large_string())
    batch = pa.RecordBatch.from_arrays([column], schema=_TEXTS)
    seconds = LEAST_S + sum(map(len, texts)) / CHARACTERS_PER_S
    answer = _tokenizer_process(definition).answer(batch, seconds, MEMORY)
    counts = iter(answer.column("tokens").to_pylist())
    token_counts: list[int | None] = []
    for some in pieces:
        of_text = [next(counts) for _ in some]
        token_counts.append(None if None in of_text else sum(of_text))
    return token_counts


@functools.lru_cache(maxsize=4)
def _tokenizer_process(definition: str) -> ChildProcess:
    """The process that counts by this tokenizer, for as long as this one lives: what a text does
    to a tokenizer (a failed regular expression, a hang, all the memory) cannot be caught in it."""
    child = ChildProcess("mira_spark.corpus.tokens", definition, _TEXTS, "the tokenizer")
    atexit.register(child.end)
    return child


@functools.lru_cache(maxsize=4)
def _built(definition: str) -> Any:
    from tokenizers import Tokenizer as HuggingFaceTokenizer

    built = HuggingFaceTokenizer.from_str(definition)
    built.no_truncation()
    built.no_padding()
    built.encode_special_tokens = True
    return built


def serve(definition: str) -> None:
    """The child: build the tokenizer and say so, then the tokens of every batch of pieces, null
    for a piece on which the tokenizer fails."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever a library prints is no answer
        built = _built(definition)
        # What a first text costs (on each thread) is no document's time.
        _token_counts(built, ["a first text"] * PIECES_AT_ONCE)
        out.write(b"ready\n")
        out.flush()
        with pa.ipc.new_stream(out, COUNTS) as answers:
            for batch in pa.ipc.open_stream(sys.stdin.buffer):
                pieces = batch.column("text").to_pylist()
                counts: list[int | None] = []
                for first in range(0, len(pieces), PIECES_AT_ONCE):
                    counts += _token_counts(built, pieces[first : first + PIECES_AT_ONCE])
                column = pa.array(counts, pa.int64())
                answers.write_batch(pa.RecordBatch.from_arrays([column], schema=COUNTS))
                out.flush()


def _token_counts(built: Any, pieces: list[str]) -> list[int | None]:
    try:
        encoded = built.encode_batch_fast(pieces, add_special_tokens=False)
        return [len(one.ids) for one in encoded]
    except BaseException as error:  # a panic of the library's is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        return (
            [None] if len(pieces) == 1 else [n for p in pieces for n in _token_counts(built, [p])]
        )


if __name__ == "__main__":
    serve(json.loads(sys.stdin.buffer.readline()))
