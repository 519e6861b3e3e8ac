"""How a tokenizer writes the integers 0-10, as a tree of tokens; nothing here needs a model.

A tokenizer may write 10 as one token or begin it as it begins 1, and put a token before either. The
separator after an integer is part of its tokens, so no integer's tokens begin another's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """A place where the integers part: after `prefix` the next token is one of `children`.

    `values` are the integers that pass here, `which` the position in `children` of each one's next.
    """

    prefix: Tokens
    children: Tokens
    values: Tokens
    which: Tokens


@dataclass(frozen=True)
class Probe:
    """Tokens to read, and the branches met on the way; a branch is of one probe only."""

    tokens: Tokens
    branches: tuple[Branch, ...]


def probes(written: Sequence[Tokens]) -> tuple[Probe, ...]:
    """The fewest readings that meet every branch, for integers written with these tokens.

    ValueError when two of them cannot be told apart by their tokens.
    """
    branches = _branches(written)
    places = [branch.prefix for branch in branches]
    longest = [p for p in places if not any(q != p and q[: len(p)] == p for q in places)]
    probed: list[Probe] = []
    met: set[Tokens] = set()
    for tokens in longest:
        new = [b for b in branches if tokens[: len(b.prefix)] == b.prefix and b.prefix not in met]
        met |= {branch.prefix for branch in new}
        probed.append(Probe(tokens, tuple(new)))
    return tuple(probed)


def _branches(written: Sequence[Tokens]) -> list[Branch]:
    for value, tokens in enumerate(written):
        for other, longer in enumerate(written):
            if value != other and longer[: len(tokens)] == tokens:
                raise ValueError(f"the tokens of {other} begin with those of {value}")
    branches = []
    for prefix in sorted({tokens[:end] for tokens in written for end in range(len(tokens))}):
        values = [v for v, tokens in enumerate(written) if tokens[: len(prefix)] == prefix]
        following = [written[value][len(prefix)] for value in values]
        children = sorted(set(following))
        if len(children) > 1:
            which = tuple(children.index(token) for token in following)
            branches.append(Branch(prefix, tuple(children), tuple(values), which))
    return branches
