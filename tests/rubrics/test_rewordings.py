"""A judge that words every dimension anew: an encoder and one merge find each of them once."""

import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mira_spark.corpus import embedding
from mira_spark.corpus.embedding import Vectors, unit_vectors
from mira_spark.corpus.python_environment import (
    CorpusLimits,
    documents,
    find_files,
    this_environment,
)
from mira_spark.judges.heuristic.judge import discover
from mira_spark.rubrics import discovery
from mira_spark.rubrics.discovery import Anchored, JudgedPoint
from mira_spark.settings.rubrics import DiscoverySettings
from tests.benchmarks.students import minilm
from tests.heuristic_properties import known_properties

WAYS, EACH, TRUE = 20, 50, 15
GROUPS = {
    "group_a": ("package_code", "type_stubs", "generated_code", "package_tests", "stdlib_code",
                "stdlib_tests"),
    "group_b": ("c_headers", "docstring_qa", "package_descriptions", "licences", "documentation"),
    "group_c": ("configuration_data", "javascript"),
}  # fmt: skip
"""The demo's."""
NAMES = (
    "{}", "good {}", "{} overall", "quality of {}", "{} throughout", "{} in the text",
    "degree of {}", "extent of {}", "level of {}", "attention to {}", "{} as a whole",
)  # fmt: skip
OTHER_NAMES = {
    "distinct lines": ("no repeated lines", "unique rows of text"),
    "distinct phrases": ("no recurring phrases", "varied short word sequences"),
    "distinct passages": ("no duplicated passages", "unique long stretches"),
    "plain spelling": ("ordinary orthography", "usual letter pairs"),
    "worded names": ("readable identifiers", "names made of whole words"),
    "matched brackets": ("balanced parentheses", "brackets that close"),
    "own content": ("original material without boilerplate", "absence of stock web phrases"),
    "line length": ("short enough lines", "lines within the column limit"),
    "share of letters": ("mostly alphabetic characters", "proportion of letters"),
    "few figures": ("few numbers", "little numeric content"),
    "even wording": ("uniform vocabulary", "consistent choice of words"),
    "even layout": ("uniform formatting", "consistent indentation and spacing"),
    "stop words": ("function words", "natural grammar words"),
    "word order": ("grammatical sequence of words", "words in a possible order"),
    "sentence starts": ("capitals after full stops", "capitalised sentences"),
    "paragraph ends": ("paragraphs that finish their sentence", "complete paragraph endings"),
    "running text": ("continuous prose", "full lines rather than lists"),
    "few symbols": ("little punctuation noise", "low density of symbols"),
    "answer relevance": ("answer fits the question", "pertinence of the reply"),
    "explained parameters": ("arguments described", "documentation of parameters"),
    "full turns": ("substantial dialogue turns", "speakers that alternate"),
    "sound syntax": ("parsable code", "valid grammar of the program"),
    "defined names": ("no undefined identifiers", "variables that are declared"),
    "used imports": ("no unused imports", "imports that are needed"),
    "documented definitions": ("docstrings on functions", "documented public classes"),
    "hand written": ("not machine generated", "authored by people"),
    "finished code": ("no placeholders left", "no open notes to do"),
    "like values": ("homogeneous field values", "consistent entries per column"),
    "sound rows": ("complete data records", "rows that are whole"),
}
REASONS = (
    "{}", "What counts is this: {}", "{} That is ordinary here.", "The text does well: {}",
    "A reader notices it at once: {}", "{} It could be better.", "Here it is weak: {}",
    "It was looked for: {}", "{} Most of the text shows it.", "Meant by it: {}",
)  # fmt: skip
SYNONYMS = {
    "how": ("to what degree", "how far", "how"), "little": ("small an amount", "little"),
    "few": ("small a number of", "few"), "share": ("part", "proportion", "fraction", "share"),
    "text": ("document", "writing", "text"), "words": ("terms", "words"),
    "stands": ("is found", "appears", "stands"), "code": ("program", "source", "code"),
    "much": ("large a part", "much"), "well": ("closely", "well"),
    "names": ("identifiers", "names"), "before": ("earlier", "previously", "before"),
    "lines": ("rows", "lines"),
}  # fmt: skip


def worded(name: str, way: int) -> tuple[str, str]:
    """The name and reason of a property in one of `WAYS` wordings, always the same."""
    draw = random.Random(f"{name} {way}")
    words = known_properties()[name].rstrip(".").split()
    reason = " ".join(draw.choice(SYNONYMS.get(word.lower(), (word,))) for word in words)
    reason = draw.choice(REASONS).format(reason[0].upper() + reason[1:] + ".")
    names = [n.format(own) for own in (name, *OTHER_NAMES[name]) for n in NAMES]
    return random.Random(name).sample(names, WAYS)[way], reason


PROPERTY = {worded(name, way)[0]: name for name in known_properties() for way in range(WAYS)}


def judged_points(sources: Sequence[str]) -> list[JudgedPoint]:
    limits = CorpusLimits(EACH, 1_200_000)
    files = [f for f in find_files(this_environment(), limits) if f.source in sources]
    points = []
    for document in documents(files, limits):
        for place, point in enumerate(discover(document.text.decode(errors="replace")[:12_000])):
            name, reason = worded(point.name, random.Random(document.doc_id).randrange(WAYS))
            made = (document.source, document.doc_id, place, name, reason, point.score)
            points.append(JudgedPoint(*made))
    return sorted(points, key=lambda point: (point.doc_id, point.point))


def encoder() -> Callable[[Sequence[str]], Vectors]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = (
        kind.from_pretrained(minilm(), local_files_only=True) for kind in (AutoModel, AutoTokenizer)
    )
    known: dict[str, Vectors] = {}

    def embed(texts: Sequence[str]) -> Vectors:
        new = sorted(set(texts) - known.keys(), key=len)
        for begin in range(0, len(new), 64):
            batch = tokenizer(new[begin : begin + 64], padding=True, return_tensors="pt")
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            means = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
            known.update(zip(new[begin : begin + 64], unit_vectors(means), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def found(points: Sequence[JudgedPoint], embed: Callable[[Sequence[str]], Vectors]) -> list[str]:
    """The property of each candidate after the merge, which a judge that knows has answered."""
    candidates = discovery.anchors(points, DiscoverySettings(selection="separating"), embed)
    first: dict[str, str] = {}
    merges = {}
    for name in (candidate.anchor.name for candidate in candidates):
        if first.setdefault(PROPERTY[name], name) != name:
            merges[name] = first[PROPERTY[name]]
    merged: list[Anchored] = discovery.merged(candidates, merges, points)
    return [PROPERTY[each.anchor.name] for each in merged]


@pytest.mark.parametrize(
    "group",
    ["group_a", *(pytest.param(group, marks=pytest.mark.long) for group in ("group_b", "group_c"))],
)
def test_with_an_encoder_most_dimensions_are_found_and_none_twice(
    group: str, capfd: pytest.CaptureFixture[str]
) -> None:
    points = judged_points(GROUPS[group])
    named = Counter(PROPERTY[name] for _, name in {(p.doc_id, p.name) for p in points})
    true = {name for name, _ in named.most_common(TRUE)}
    by_encoder, by_hashing = found(points, encoder()), found(points, embedding.embed)
    with capfd.disabled():
        sys.stdout.write(
            f"\n{group}: of {TRUE} dimensions {len(true & set(by_encoder))} are found with an "
            f"encoder, {len(true & set(by_hashing))} with hashing\n"
        )
    assert len(true & set(by_encoder)) >= 13
    assert len(by_encoder) == len(set(by_encoder))
