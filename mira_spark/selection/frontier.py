"""What several budgets and policies would keep, as tables to read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from mira_spark import current
from mira_spark.errors import InputError, joined
from mira_spark.lake import leases
from mira_spark.lake.columns import POINT
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say, show_table
from mira_spark.selection import candidates, unscored
from mira_spark.selection import histogram as bins
from mira_spark.selection import order as selection
from mira_spark.selection.allocation import allocation_policy
from mira_spark.selection.histogram import Bins
from mira_spark.selection.what_if import Kept, WhatIf, what_if
from mira_spark.settings.root import Settings
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
class Answer:
    """What one budget under one policy would keep."""

    chosen: SelectionSettings
    budget_tokens: int
    lines: Sequence[Line]
    entropy_bits: float


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
                    said = e["msg"].removeprefix("Value error, ")
                    problems[f"--{e['loc'][0]} {e['input']}: {said}"] = None
    if problems:
        raise InputError(joined(problems))
    return found


def answers(found: Bins, asked: Iterable[SelectionSettings], corpus_tokens: int) -> list[Answer]:
    """What each would keep, from the bins alone; a budget in per cent is of `corpus_tokens`.
    InputError as of `what_if`."""
    groups = found.groups
    totals = {source: own.tokens for source, own in found.by_source().items()}
    result = []
    for chosen in asked:
        budget = selection.budget_tokens(chosen.budget, corpus_tokens, smallest=1)
        kept = what_if(allocation_policy(chosen), budget, groups, found.levels, MORE)
        result.append(Answer(chosen, budget, _lines(kept, groups, totals), kept.entropy_bits))
    return result


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
    kept = together(found.kept[s] for s in sources)
    more = together(found.kept_with_more[s] for s in sources)
    return Line(
        group,
        source,
        kept,
        sum(totals[s] for s in sources),
        more.documents - kept.documents,
        more.tokens - kept.tokens,
    )


def together(parts: Iterable[Kept]) -> Kept:
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


def show(lake: Lakehouse, settings: Settings, budgets: str, policies: str, run_id: str) -> None:
    """Print what the budgets and policies would keep of the candidates there are now; counts them
    first, and says so, where no histogram of them stands."""
    asked = alternatives(settings.selection, budgets, policies)
    candidates.check(settings.selection)
    state = current.pinned(lake, settings)
    found = bins.standing(lake, settings.selection, state)
    if found is None:
        say("there is no histogram of these scores yet: it is counted and recorded")
        counted = partial(current.candidates, lake, settings, state)
        with leases.writing(lake, settings.session, bins.WRITES) as claimed:
            found = bins.recorded(claimed, settings.selection, state, counted, run_id)
    left = unscored.count(lake, settings, state, found)
    left.check(settings.selection)
    for answer in answers(found, asked, left.corpus_tokens):
        _show_answer(answer)
    for line in left.lines():
        say(line)
    versions = "documents version {}, scores version {}".format(*state.versions)
    say(f"from the histogram of {versions}; the documents at the cut are in proportion")


def _show_answer(answer: Answer) -> None:
    title = (
        f"{answer.chosen.budget} by {answer.chosen.policy}: a budget of "
        f"{answer.budget_tokens:,} tokens; the mix has {answer.entropy_bits:.2f} bits"
    )
    headings = ("group", "source", "documents", "tokens", "kept", "mean quality", "marginal",
                f"+{MORE / 1e9:g} B: documents", "tokens")  # fmt: skip
    rows = [
        (
            (line.source_group or "all") if line.source is None else "",
            line.source or "",
            f"{line.kept.documents:,}",
            f"{line.kept.tokens:,}",
            f"{line.kept.tokens / max(1, line.total_tokens):.1%}",
            _points(line.kept.mean_quality),
            _points(line.kept.marginal_quality, "all fits"),
            f"{line.more_documents:+,}",
            f"{line.more_tokens:+,}",
        )
        for line in answer.lines
    ]
    show_table(headings, rows, texts=2, title=title)


def _points(thousandths: float | None, none: str = "") -> str:
    return none if thousandths is None else f"{thousandths / POINT:.2f}"
