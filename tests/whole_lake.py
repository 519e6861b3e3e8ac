"""A lake with all steps done on a small corpus, by a judge behind HTTP whose labels a student
learns from a few documents: it counts two words."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count as counted
from pathlib import Path
from random import Random
from typing import Any

from pyspark.sql import functions as F

from mira_spark import pipeline
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.settings.root import Settings, load
from tests.integration.test_judge import MODEL, PRICE
from tests.integration.test_pipeline import by_brute_force
from tests.judge_stub import JudgeStub, Schema, by_hash, document_inside
from tests.labelled_texts import WORDS

KEY_VARIABLE = "MIRA_TEST_KEY"
BUDGET = 40
LENIENT = {"min_gain": -1, "min_spearman_within": -1, "min_noise_auc": 0, "max_champion_loss": 2,
           "max_length_correlation": 1, "max_length_excess": 2}  # fmt: skip
"""Of a gate: a student of few labels is let through."""
Row = dict[str, str]


def by_words(messages: Sequence[Mapping[str, str]], schema: Schema) -> str:
    """Scores that follow from how often two words are in the document."""
    said = json.loads(by_hash(messages, schema))
    if "answers" in said:
        words = document_inside(messages[-1]["content"], said["document"]).split()
        for answer in said["answers"]:
            times = words.count(WORDS[answer["slot"] % 2])
            answer["score"] = min(10, round(25 * times / len(words)))
    return json.dumps(said)


def a_text(number: int) -> str:
    """Words of which the first two are now and then frequent; another for each number."""
    random = Random(number)
    weights = [random.uniform(0, 4), random.uniform(0, 4)] + [1.0] * (len(WORDS) - 2)
    words = random.choices(WORDS.tolist(), weights, k=random.randint(60, 160))
    return f"{number} {' '.join(words)}"


@dataclass
class WholeLake:
    """The lake, and its corpus as the input's files hold it."""

    lake: Lakehouse
    folder: Path
    stub: JudgeStub
    groups: dict[str, str]
    corpus: dict[str, Row] = field(default_factory=dict)
    changes: dict[str, object] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=counted)

    def add(self, source: str, count: int) -> set[str]:
        """So many documents more of the source; their ids."""
        new = {f"d{n}": a_text(n) for n in (next(self.numbers) for _ in range(count))}
        self.corpus |= {i: {"id": i, "source": source, "text": new[i]} for i in new}
        return set(new)

    def change(self, ids: Iterable[str]) -> set[str]:
        """Other texts of these documents."""
        changed = {i: self.corpus[i] | {"text": self.corpus[i]["text"] + "\nMore."} for i in ids}
        self.corpus |= changed
        return set(changed)

    def withdraw(self, ids: Iterable[str]) -> None:
        for one in ids:
            del self.corpus[one]

    def without_label(self, source: str, count: int) -> list[str]:
        labelled = {r["doc_id"] for r in self.lake.read("labels").select("doc_id").collect()}
        ids = (i for i, row in self.corpus.items() if row["source"] == source and i not in labelled)
        return sorted(ids)[:count]

    def settings(self) -> Settings:
        judge: dict[str, Any] = {
            "kind": "openai", "model": MODEL, "url": self.stub.url, "hosts": ["127.0.0.1"],
            "secret": f"env:{KEY_VARIABLE}", "prices": {MODEL: PRICE}, "pacing": {"base_s": 0.0},
        }  # fmt: skip
        chosen: dict[str, object] = {
            "namespace": self.lake.namespace,
            "folder": str(self.folder / "root"),
            "corpus": {
                "input": "json", "path": str(self.folder / "input"), "removed": "withdraw",
                "columns": {"doc_id": "id"},
            },
            "grouping.mapping": self.groups,
            "judge": judge,
            "discovery.documents_per_group": 30,
            "labelling.documents_per_source": 40,
            "distillation": {"few_labels": 10, "linear": {"bits": 14}},
            "gate": LENIENT,
            "registry.prefix": self.lake.namespace,
            "selection.budget": f"{BUDGET}%",
        }  # fmt: skip
        chosen |= self.changes
        return load(None, [f"{key}={json.dumps(value)}" for key, value in chosen.items()])

    def write_input(self) -> None:
        """The input's files as the corpus is now, one for each source."""
        (self.folder / "input").mkdir(exist_ok=True)
        for source in {row["source"] for row in self.corpus.values()}:
            lines = [json.dumps(r) for r in self.corpus.values() if r["source"] == source]
            (self.folder / "input" / f"{source}.json").write_text("\n".join(lines))

    def perform(
        self, run_id: str, steps: Iterable[str] = pipeline.STEPS, force: bool = False
    ) -> tuple[int, str]:
        """The exit code of a run over the corpus as it is now, and what it said."""
        self.write_input()
        with console.capture() as said:
            code = pipeline.perform(self.lake, self.settings(), run_id, tuple(steps), force)
        return code, said.get()

    def check_views(self) -> None:
        """Documents, scores and selection are those of the corpus, each document once."""
        texts = [(r["doc_id"], r["text"]) for r in self.lake.read("documents").collect()]
        assert Counter(texts) == Counter((i, row["text"]) for i, row in self.corpus.items())
        scored = Counter(row["doc_id"] for row in self.lake.read("scored_documents").collect())
        assert scored == Counter(self.corpus.keys())
        tokens = self.lake.read("documents").agg(F.sum("n_tokens")).collect()[0][0]
        wanted = by_brute_force(self.lake, BUDGET * tokens // 100, 0)
        selected = [(r["doc_id"], r["text"]) for r in self.lake.read("selected").collect()]
        assert Counter(selected) == Counter((i, self.corpus[i]["text"]) for i in wanted)


@contextmanager
def whole_lake(lake: Lakehouse, folder: Path, groups: dict[str, str]) -> Iterator[WholeLake]:
    """The lake without documents yet; `groups` says the group of each source."""
    with JudgeStub(by_words) as stub:
        yield WholeLake(lake, folder, stub, groups)
