"""The judge's own drift: a few frozen documents of each group, asked at every labelling run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mira_spark.errors import JudgeError

FIRST = 1_000
"""Replicate number of a canary's first asking. Every later run takes the next multiple of STEP, so
that the numbers between are there for what is asked again."""
_STEP = 100

_Scores = Mapping[tuple[str, int], int]
"""(doc_id, slot) to the score given; nulls are absent."""


class JudgeDrift(JudgeError):
    """The judge is no longer the one that gave the first labels."""


@dataclass(frozen=True)
class Asking:
    """One asking of a group's canaries: the scores, and the models that say they answered."""

    scores: _Scores
    models: frozenset[str]


def replicate_of(askings: Sequence[int]) -> int:
    """The replicate number of the next asking, after those with these replicate numbers."""
    before = [n for n in askings if n >= FIRST]
    return FIRST if not before else max(before) // _STEP * _STEP + _STEP


def check(first: Asking, now: Asking, max_shift: float, source_group: str) -> None:
    """Raises JudgeDrift when another model answers or the mean score moved by more than
    `max_shift` points over what was scored both times."""
    if first.models and now.models and now.models != first.models:
        before, after = _model_names(first.models), _model_names(now.models)
        raise JudgeDrift(
            f"{source_group}: {after} answers where {before} gave the first labels; no label was "
            f"asked for. {_REMEDY}"
        )
    both = first.scores.keys() & now.scores.keys()
    if not both:
        return
    shift = sum(now.scores[key] - first.scores[key] for key in both) / len(both)
    if abs(shift) > max_shift:
        raise JudgeDrift(
            f"{source_group}: on the canary documents the judge's mean moved by {shift:+.2f} "
            f"points over {len(both)} scores, allowed are {max_shift:g}; no label was asked for. "
            f"{_REMEDY}"
        )


_REMEDY = (
    "Bring the old model back, or raise labelling.generation: then everything is labelled anew, by "
    "this judge alone."
)


def _model_names(models: frozenset[str]) -> str:
    return ", ".join(sorted(models))
