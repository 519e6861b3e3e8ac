"""What several budgets and policies would keep, as tables to read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from mira_spark.errors import InputError, joined
from mira_spark.selection import order
from mira_spark.selection.allocation import allocation_policy
from mira_spark.selection.candidates import OVERSIZED
from mira_spark.selection.histogram import Bins
from mira_spark.selection.oversized import most_tokens
from mira_spark.selection.what_if import Kept, WhatIf, what_if
from mira_spark.settings.problems import plain_words
from mira_spark.settings.selection import SelectionSettings

MORE = 10**9


@dataclass(frozen=True)
class Line:
    """What is kept of a group (source None), a source, or all (both None); `more_documents` and
    `more_tokens` are what MORE tokens of budget would add."""

    source_group: str | None
    source: str | None
    kept: Kept
    total_tokens: int
    more_documents: int
    more_tokens: int


@dataclass(frozen=True)
class BudgetAnswer:
    """What one budget under one policy would keep; `oversized` documents are set aside."""

    chosen: SelectionSettings
    budget_tokens: int
    lines: Sequence[Line]
    entropy_bits: float
    oversized: int = 0


def alternatives(chosen: SelectionSettings, budgets: str, policies: str) -> list[SelectionSettings]:
    """The settings with each of the budgets and policies, both divided by commas; InputError with
    every one that is none."""
    found: list[SelectionSettings] = []
    problems: dict[str, None] = {}
    for budget in (b.strip() for b in budgets.split(",")):
        for policy in (p.strip() for p in policies.split(",")):
            changed = chosen.model_dump(mode="json") | {"budget": budget, "policy": policy}
            try:
                found.append(SelectionSettings.model_validate(changed))
            except ValidationError as error:
                for e in error.errors():
                    problems[f"--{e['loc'][0]} {e['input']}: {plain_words(e)}"] = None
    if problems:
        raise InputError(joined(problems))
    return found


def answers(
    found: Bins, asked: Iterable[SelectionSettings], corpus_tokens: int
) -> list[BudgetAnswer]:
    """What each would keep, from the bins alone; a budget in per cent is of `corpus_tokens`.
    InputError as of `what_if`."""
    return [
        budget_answer(chosen, found, competing_bins(found, chosen), corpus_tokens)
        for chosen in asked
    ]


def competing_bins(found: Bins, chosen: SelectionSettings) -> Bins:
    """The bins without what is oversized; the same for every budget."""
    return found.within(most_tokens(allocation_policy(chosen), found))


def budget_answer(
    chosen: SelectionSettings, found: Bins, competing: Bins, corpus_tokens: int
) -> BudgetAnswer:
    """What the budget of these settings would keep, `competing` being their `competing_bins`.
    InputError as of `what_if`."""
    groups = found.groups
    totals = {source: own.tokens for source, own in found.by_source().items()}
    budget = order.budget_tokens(chosen.budget, corpus_tokens, smallest=1)
    kept = what_if(allocation_policy(chosen), budget, groups, competing.levels, MORE)
    lines, oversized = _lines(kept, groups, totals), competing.set_aside.get(OVERSIZED, 0)
    return BudgetAnswer(chosen, budget, lines, kept.entropy_bits, oversized)


def _lines(found: WhatIf, groups: Mapping[str, str], totals: Mapping[str, int]) -> list[Line]:
    """Each group followed by its sources, and all at the end."""
    members: dict[str, list[str]] = {}
    for source, group in sorted(groups.items()):
        members.setdefault(group, []).append(source)
    lines = []
    for group, sources in sorted(members.items()):
        lines.append(_line(group, None, sources, found, totals))
        lines += [_line(group, source, [source], found, totals) for source in sources]
    return [*lines, _line(None, None, sorted(groups), found, totals)]


def _line(
    group: str | None,
    source: str | None,
    sources: Sequence[str],
    found: WhatIf,
    totals: Mapping[str, int],
) -> Line:
    kept = summed(found.kept[s] for s in sources)
    more = summed(found.kept_with_more[s] for s in sources)
    return Line(
        group,
        source,
        kept,
        sum(totals[s] for s in sources),
        more.documents - kept.documents,
        more.tokens - kept.tokens,
    )


def summed(parts: Iterable[Kept]) -> Kept:
    """What is kept of several sources; the marginal quality is the lowest of theirs, None where
    none of them is cut."""
    found = list(parts)
    documents = sum(k.documents for k in found)
    weighted = sum((k.mean_quality or 0) * k.documents for k in found)
    cuts = [k.marginal_quality for k in found if k.marginal_quality is not None]
    return Kept(
        documents=documents,
        tokens=sum(k.tokens for k in found),
        mean_quality=weighted / documents if documents else None,
        marginal_quality=min(cuts, default=None),
    )
