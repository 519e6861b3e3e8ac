"""Nothing is asked twice: a question whose answer is recorded is answered from the record."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mira_spark.judges.protocol import Answer, Judge, Request


@dataclass(frozen=True)
class Ledger:
    """Where answers are recorded. `known` maps those of the keys it has to their answers;
    `record` has made the answers durable when it returns."""

    known: Callable[[Sequence[str]], Mapping[str, Answer]]
    record: Callable[[Sequence[tuple[Request, Answer]]], None]


def answered(
    judge: Judge, ledger: Ledger, requests: Sequence[Request]
) -> Iterator[tuple[Request, Answer]]:
    """Every request with its answer, in the order given: the unknown ones are asked, recorded,
    and only then handed out."""
    found = dict(ledger.known([r.call_key for r in requests]))
    missing = {r.call_key: r for r in requests if r.call_key not in found}
    new = asyncio.run(_ask(judge, list(missing.values())))
    if new:
        ledger.record(list(zip(missing.values(), new, strict=True)))
    found.update(zip(missing, new, strict=True))
    for request in requests:
        yield request, found[request.call_key]


async def _ask(judge: Judge, requests: Sequence[Request]) -> list[Answer]:
    return list(await asyncio.gather(*(judge.ask(request) for request in requests)))
