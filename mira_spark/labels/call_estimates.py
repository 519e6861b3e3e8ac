"""What calls of a judge will cost, told from how many there are and how long the texts are.

Tokens are estimates: four characters to a token, as in an excerpt. The constant part of a prompt is
read from the provider's cache by all calls of a group but the first, where caching is on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN
from mira_spark.corpus.grouping import MOST_GROUPS
from mira_spark.judges import prompts
from mira_spark.judges.calls.prices import NANOS, Usage, cost_nanos
from mira_spark.judges.protocol import Anchor, Purpose
from mira_spark.labels import forms
from mira_spark.labels.discovery_calls import REVERSED_SHARE
from mira_spark.labels.forms import Task
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.judge import JudgeSettings, Price
from mira_spark.settings.labels import LabellingSettings
from mira_spark.settings.rubrics import MAX_DIMENSIONS, DiscoverySettings

OUTPUT_TOKENS_PER_DIMENSION = 45
"""Where no answer was seen yet: a slot, a score and a reason of 25 words with JSON around them."""
LATENCY_S = 2.0
"""Of a call, where none was seen yet."""
TYPICAL_DEFINITION = "d" * 120
"""Stands for the definition of a dimension that is not known yet."""

CallKind = Literal["discovery", "merge", "pilot", "labelling"]
"""What the calls are for: the first three are a discovery's."""
PURPOSES: dict[CallKind, tuple[Purpose, ...]] = {
    "discovery": ("discover",),
    "merge": ("merge",),
    "pilot": ("pilot",),
    "labelling": ("label", "repeat", "reversed", "spoilt", "canary"),
}


class Sections(NamedTuple):
    """The settings that calls depend on."""

    grouping: Grouping
    discovery: DiscoverySettings
    labelling: LabellingSettings
    judge: JudgeSettings


class MeanAnswer(NamedTuple):
    """Of a judge: how long answers are and how long they take; `is_observed` says that these are
    means of its earlier answers."""

    output_tokens: float
    latency_s: float
    is_observed: bool


@dataclass(frozen=True)
class CallEstimate:
    """The calls for one thing in one group that have no answer yet.

    `constant_tokens` is the part of every prompt that is the same, `document_tokens` the sum of the
    others'. `is_observed` is as of the `MeanAnswer`.
    """

    kind: CallKind
    source_group: str
    judge: str
    calls: int
    constant_tokens: int
    document_tokens: int
    output_tokens: int
    hours: float
    is_observed: bool
    price: Price

    @property
    def input_tokens(self) -> int:
        """Tokens of all prompts."""
        return self.calls * self.constant_tokens + self.document_tokens

    @property
    def cached_tokens(self) -> int:
        """Tokens that a prefix cache would serve."""
        return max(0, self.calls - 1) * self.constant_tokens

    def dollars(self, caching: bool) -> Decimal:
        """Price in US dollars."""
        cached = self.cached_tokens if caching else 0
        usage = Usage(self.input_tokens, self.output_tokens, cached)
        return Decimal(cost_nanos(self.price, usage)) / NANOS


def assumed_anchors(n: int) -> tuple[Anchor, ...]:
    """Stand for dimensions that are not known yet."""
    return tuple(Anchor(slot, "dimension", TYPICAL_DEFINITION) for slot in range(n))


def assumed_answer(slots: int) -> MeanAnswer:
    """Where none was seen yet; 0 slots: as many dimensions as a document may be given."""
    dimensions = slots or MAX_DIMENSIONS
    return MeanAnswer(float(OUTPUT_TOKENS_PER_DIMENSION * dimensions), LATENCY_S, False)


def call_task(kind: CallKind) -> Task:
    """Whose judge answers."""
    return "labelling" if kind == "labelling" else "discovery"


def call_estimate(
    judge: JudgeSettings,
    kind: CallKind,
    group: str,
    calls: int,
    characters: float,
    anchors: Sequence[Anchor],
    answer: MeanAnswer,
) -> CallEstimate:
    """Of so many calls that show `characters` of a document each. ConfigError for a model without
    a price."""
    model = forms.task_model(judge, call_task(kind))
    loaded = prompts.load(judge.prompts)
    system = dict(
        prompts.merge_messages(loaded, "", "", len(anchors))
        if kind == "merge"
        else prompts.messages(loaded, "", "", anchors)
    )["system"]
    schema = str(prompts.schema(anchors, PURPOSES[kind][0]))
    return CallEstimate(
        kind=kind,
        source_group=group,
        judge=forms.judge_name(model),
        calls=calls,
        constant_tokens=(len(system) + len(schema)) // CHARACTERS_PER_TOKEN,
        document_tokens=round(calls * characters / CHARACTERS_PER_TOKEN),
        output_tokens=round(calls * answer.output_tokens),
        hours=calls * answer.latency_s / judge.pacing.in_flight / 3600,
        is_observed=answer.is_observed,
        price=forms.model_price(judge, model),
    )


def supposed_labels(corpus: CorpusSize, settings: LabellingSettings) -> int:
    """Documents that are labelled of a corpus whose sources are alike, at most: domains are not
    known."""
    per_source = min(settings.documents_per_source, corpus.documents // corpus.sources)
    return corpus.sources * per_source


def supposed_groups(corpus: CorpusSize, settings: Grouping) -> int:
    """Groups that so many sources may come to, at most, but for outliers."""
    return min(corpus.sources, settings.settings.groups or MOST_GROUPS)


def supposed_estimates(corpus: CorpusSize, settings: Sections) -> list[CallEstimate]:
    """Of a corpus that is not taken in, all of whose documents are as long as their mean: what may
    be asked of it at most, over all groups. ConfigError for a model without a price."""
    return list(_supposed(corpus, settings))


def _supposed(corpus: CorpusSize, settings: Sections) -> Iterator[CallEstimate]:
    judge, discovery, labelling = settings.judge, settings.discovery, settings.labelling
    groups = supposed_groups(corpus, settings.grouping)
    shown = corpus.tokens_per_document * CHARACTERS_PER_TOKEN
    shown = min(shown, 3 * judge.window_tokens * CHARACTERS_PER_TOKEN)
    most = corpus.documents // groups

    def calls(kind: CallKind, n: float, slots: int, characters: float) -> CallEstimate:
        anchors, answer = assumed_anchors(slots), assumed_answer(slots)
        return call_estimate(judge, kind, "all", round(n), characters, anchors, answer)

    yield calls("discovery", groups * min(discovery.documents_per_group, most), 0, shown)
    if discovery.selection == "separating":
        candidates = discovery.candidates
        lines = prompts.dimension_list(assumed_anchors(candidates))
        yield calls("merge", groups, candidates, len(lines))
        pilot = groups * min(discovery.pilot_documents, most)
        yield calls("pilot", pilot * (1 + REVERSED_SHARE), candidates, shown)
    askings = 1 + labelling.repeat_share + labelling.spoilt_share
    more = min(labelling.canaries + labelling.reversed_documents, most)
    n = supposed_labels(corpus, labelling) * askings + groups * more
    yield calls("labelling", n, discovery.dimensions, shown)
