"""Documents as token ids: long ones cut to windows, all packed into batches of like length."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mira_spark.errors import ArtefactError
from mira_spark.students import configs
from mira_spark.students.protocol import Batch

Ids = npt.NDArray[np.int32]

_MARK = " [...] "
"""Stands between two windows of a document that is not read whole."""
_AT_ONCE = 256
"""Texts that are tokenised at once: while their ids become arrays no other thread goes on."""
ROWS_TOGETHER = 20_000
"""Documents that are sorted by length together: padding is then under three per cent."""


@dataclass(frozen=True)
class Reader:
    """A tokenizer and what it puts around a document of at most `most` tokens.

    Of a long text it looks at three pieces of `piece` characters. `spelt` is what stands for a
    special token that a text spells and the tokenizer would give as one: the tokens of its letters.
    """

    tokenizer: Tokenizer
    most: int
    piece: int
    before: list[int]
    after: list[int]
    mark: list[int]
    spelt: Mapping[int, list[int]] = field(default_factory=dict)

    @property
    def window(self) -> int:
        """Tokens of each of three windows."""
        room = self.most - len(self.before) - len(self.after) - 2 * len(self.mark)
        return room // 3

    def ids(self, texts: Sequence[str]) -> list[Ids]:
        """Each text's token ids; of a text too long its begin, middle and end, marked between."""
        documents: list[Ids] = []
        for first in range(0, len(texts), _AT_ONCE):
            pieces = [configs.pieces(text, self.piece) for text in texts[first : first + _AT_ONCE]]
            flat = [piece for of_text in pieces for piece in of_text]
            encoded = self.tokenizer.encode_batch_fast(flat, add_special_tokens=False)
            each = iter(self._as_text(encoding.ids) for encoding in encoded)
            documents += [self._frame([next(each) for _ in of_text]) for of_text in pieces]
        return documents

    def beginnings(self, texts: Sequence[str]) -> list[Ids]:
        """Each text's first token ids, as many as there is room for."""
        room = self.most - len(self.before) - len(self.after)
        documents: list[Ids] = []
        for first in range(0, len(texts), _AT_ONCE):
            begun = [text[: 3 * self.piece] for text in texts[first : first + _AT_ONCE]]
            for each in self.tokenizer.encode_batch_fast(begun, add_special_tokens=False):
                inner = self._as_text(each.ids)[:room]
                documents.append(np.array([*self.before, *inner, *self.after], np.int32))
        return documents

    def text_ids(self, text: str) -> list[int]:
        """The ids of all of a text, with nothing around it."""
        return self._as_text(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _as_text(self, ids: list[int]) -> list[int]:
        if self.spelt.keys().isdisjoint(ids):
            return ids
        return [part for token in ids for part in self.spelt.get(token, [token])]

    def _frame(self, pieces: list[list[int]]) -> Ids:
        room, window = self.most - len(self.before) - len(self.after), self.window
        if len(pieces) == 1 and len(pieces[0]) <= room:
            inner = pieces[0]
        else:
            begin, middle, end = pieces if len(pieces) == 3 else pieces * 3
            first = max(len(middle) - window, 0) // 2
            middle = middle[first : first + window]
            inner = [*begin[:window], *self.mark, *middle, *self.mark, *end[-window:]]
        return np.array([*self.before, *inner, *self.after], np.int32)


def reader(content: bytes, most: int) -> Reader:
    """A reader with the tokenizer of a `tokenizer.json`, to which a special token that a text
    spells is text; ArtefactError when it is none, or when `most` has no room for three windows."""
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library has no class of its own
        raise ArtefactError(f"tokenizer.json: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    probe = tokenizer.encode("a")
    own = [i for i, special in enumerate(probe.special_tokens_mask) if not special]
    first, last = (own[0], own[-1] + 1) if own else (0, 0)
    mark = tokenizer.encode(_MARK, add_special_tokens=False).ids
    piece = configs.piece(most)
    frame = probe.ids[:first], probe.ids[last:]
    whole = Reader(tokenizer, most, piece, *frame, mark, _spelt(tokenizer))
    if whole.window < 1:
        raise ArtefactError(f"max_tokens is {most}, too few for three windows and their marks")
    return whole


def _spelt(tokenizer: Tokenizer) -> dict[int, list[int]]:
    """The special tokens that are words of the model too, and so come out of a text all the same,
    each with the tokens of its letters. The sign of an unknown word is none of them."""
    added = tokenizer.get_added_tokens_decoder()
    special = {token: known.content for token, known in added.items() if known.special}
    model = json.loads(tokenizer.to_str())["model"] if special else {}
    unknown = {tokenizer.token_to_id(str(model.get("unk_token"))), model.get("unk_id")}

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    leaking = {
        token: content
        for token, content in special.items()
        if token not in unknown and token in ids(f"{content} a{content}a {content}")
    }
    return {
        token: [part for letter in content for part in ids(letter) if part not in leaking]
        for token, content in leaking.items()
    }


def shorter(batch: Batch, reader: Reader) -> Batch | None:
    """The batch with half as many tokens of its longest document, the beginnings kept; None when
    no token of a document would be left."""
    ids, lengths = batch.inputs["ids"], batch.inputs["lengths"]
    frame, end = len(reader.before) + len(reader.after), len(reader.after)
    most = frame + (ids.shape[1] - frame) // 2
    if most <= frame:
        return None
    shortened = np.zeros((len(ids), most), np.int32)
    for row, length in enumerate(lengths.tolist()):
        whole, short = ids[row, :length], min(length, most)
        shortened[row, :short] = np.concatenate([whole[: short - end], whole[length - end :]])
    return Batch(batch.rows, {"ids": shortened, "lengths": np.minimum(lengths, most)})


def batches(documents: Sequence[Ids], most_tokens: int) -> Iterator[Batch]:
    """Batches of at most `most_tokens` with padding, or of one document; the longest come first.

    `ids` is int32 [B, T] padded with 0, `lengths` int32 [B].
    """
    lengths = np.array([len(ids) for ids in documents], np.int32)
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        longest = max(int(lengths[order[first]]), 1)
        rows = order[first : first + max(most_tokens // longest, 1)]
        padded = np.zeros((len(rows), longest), np.int32)
        for i, row in enumerate(rows):
            padded[i, : lengths[row]] = documents[row]
        yield Batch(rows, {"ids": padded, "lengths": lengths[rows]})
        first += len(rows)
