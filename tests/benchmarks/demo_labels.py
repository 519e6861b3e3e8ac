"""A demo's lake without Spark: its groups with their labels, its documents, and labels of another
sample of them. Lakes are only read."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from mira_spark.corpus.draws import draw
from mira_spark.corpus.excerpts import excerpt
from mira_spark.distillation.folds import balanced_folds, nearly_equal_key
from mira_spark.distillation.linear import train_parts
from mira_spark.distillation.shards import COLUMNS, FOLDS, Floats, Labelled
from mira_spark.distillation.training import Evaluation, read_rows
from mira_spark.judges.defence import normalised
from mira_spark.judges.heuristic.judge import label
from mira_spark.labels import labelling, spoiling
from mira_spark.settings.judge import JudgeSettings
from mira_spark.settings.labels import LabellingSettings
from mira_spark.settings.students import LinearSettings
from mira_spark.students.linear import LinearStudent

PER_SOURCE = 700
"""Labelled documents of a source in the demo."""
SHINGLE, COMPARED_CHARACTERS = 8, 20_000
_JUDGED = ("spoilt", "spoilt_text", "repeat_scores", "reversed_scores", "reasons")
_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("domain", pa.string()),
        ("text", pa.large_string()),
        ("n_tokens", pa.int64()),
        *((name, pa.list_(pa.int16())) for name in COLUMNS[5:8]),
        ("reasons", pa.list_(pa.string())),
        ("fold", pa.int32()),
        ("spoilt", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Group:
    """A group's dimensions, their weights in thousandths, and its labels: the columns of shards and
    `content_hash`, that of the document also for its spoilt copy."""

    name: str
    dimensions: tuple[str, ...]
    weights: tuple[int, ...]
    labels: pd.DataFrame

    @property
    def sources(self) -> list[str]:
        """In order of name."""
        return sorted(set(self.labels["source"]))


def table(folder: Path, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """A table of the lake in this folder."""
    found = sorted(path.parent for path in (folder / "warehouse").glob(f"**/{name}/_delta_log"))
    if len(found) != 1:
        raise SystemExit(f"{folder}: {len(found)} tables {name}, expected one: run `mira demo`")
    rows: pd.DataFrame = DeltaTable(str(found[0])).to_pyarrow_table(columns=columns).to_pandas()
    return rows


def documents(folder: Path) -> pd.DataFrame:
    """doc_id, source, domain, text, n_tokens, n_bytes and content_hash of every document."""
    names = ["doc_id", "source", "domain", "text", "n_tokens", "n_bytes", "content_hash"]
    return table(folder, "documents", names).sort_values("doc_id", ignore_index=True)


def groups(folder: Path, corpus: pd.DataFrame) -> list[Group]:
    """The groups of the lake that have labels, in order of name; `corpus` are its documents."""
    labels = table(folder, "labels")
    labels = labels[labels["set_aside"].isna()].sort_values(["doc_id", "content_hash"])
    rubrics = table(folder, "rubrics", ["rubric_id", "slot", "name", "weight"])
    found = []
    for (name, rubric_id), own in labels.groupby(["source_group", "rubric_id"]):
        slots = rubrics[rubrics["rubric_id"] == rubric_id].drop_duplicates("slot")
        slots = slots.sort_values("slot")
        weights = tuple(slots["weight"].fillna(1000).astype(int))
        of_group = _shard_rows(own.drop(columns="content_hash"), corpus)
        found.append(Group(name, tuple(slots["name"]), weights, of_group))
    return found


def labelled_anew(group: Group, corpus: pd.DataFrame, seed: int) -> Group:
    """The group with the heuristic judge's labels of another sample: `PER_SOURCE` documents of each
    source, equal texts once, and spoilt copies of as many as the demo has."""
    drawn = sample(group.sources, corpus, seed)
    settings, rows = LabellingSettings(), []
    before: dict[str, str] = {}
    for row in drawn.sort_values("doc_id").to_dict("records"):
        text = shown(row["text"])
        row = dict.fromkeys(_JUDGED) | {"doc_id": row["doc_id"], "source": row["source"]}
        rows.append(row | {"scores": judged(text, group.dimensions)})
        if labelling.is_spoilt(row["doc_id"], settings):
            foreign = next((t for s, t in reversed(before.items()) if s != row["source"]), "")
            copy = spoiling.spoilt_copy(text, before.get(row["source"], ""), foreign, 0)
            if copy is not None:
                scores = judged(shown(copy[1]), group.dimensions)
                rows.append(row | {"scores": scores, "spoilt": copy[0], "spoilt_text": copy[1]})
        before.pop(row["source"], None)
        before[row["source"]] = text
    return replace(group, labels=_shard_rows(pd.DataFrame(rows), corpus))


def sample(sources: Sequence[str], corpus: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`PER_SOURCE` documents of each source, drawn by hash; of equal texts the first by doc_id."""
    own = corpus[corpus["source"].isin(sources)]
    order = own["doc_id"].map(lambda doc_id: draw(doc_id, f"label sample {seed}"))
    drawn = own.assign(order=order).sort_values("order").groupby("source").head(PER_SOURCE)
    return drawn.sort_values("doc_id").drop_duplicates("content_hash").drop(columns="order")


def shown(text: str) -> str:
    """What the judge is shown of it."""
    return normalised(excerpt(text, JudgeSettings().window_tokens))


def judged(text: str, dimensions: Sequence[str]) -> list[int | None]:
    """The heuristic judge's scores, None where a dimension does not apply."""
    return [point.score if point else None for point in label(text, dimensions)]


@contextmanager
def staged(labels: pd.DataFrame) -> Iterator[Labelled]:
    """The labels as files, in an order unlike any other, for as long as the block lasts."""
    order = np.argsort([draw(doc_id, "order") for doc_id in labels["doc_id"]], kind="stable")
    rows = pa.Table.from_pandas(labels[list(COLUMNS)].iloc[order], _SCHEMA, preserve_index=False)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(rows, Path(folder) / "labels.parquet")
        yield Labelled(Path(folder)).with_rows()


def distilled(labelled: Labelled, slots: int) -> tuple[LinearStudent, Evaluation]:
    """The linear student of all rows, and the rows, each predicted by a student of the other
    folds."""
    parts = [labelled.without(fold).folds for fold in labelled.folds]
    student, predicted = train_parts(labelled, slots, LinearSettings(), parts)
    rows = read_rows(labelled, slots)
    by_fold: Floats = np.stack(predicted)
    place = np.searchsorted(labelled.folds, rows.folds)
    return student, replace(rows, predicted=by_fold[place, np.arange(len(place))])


def _shard_rows(labels: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """Labels with the texts and folds that `staging.stage` gives them."""
    rows = labels.merge(corpus, on=["doc_id", "source"], validate="many_to_one")
    is_spoilt = rows["spoilt"].notna()
    sizes = rows[~is_spoilt].groupby(["source", "domain"]).size()
    totals = rows[~is_spoilt].groupby("source").size()
    halves = {key for key, n in sizes.items() if 2 * n > totals[key[0]]}
    keys = zip(rows["source"], rows["domain"], rows["text"], strict=True)
    rows["domain"] = [
        nearly_equal_key(text)
        if pd.isna(domain) or (source, domain) in halves
        else f"domain {domain}"
        for source, domain, text in keys
    ]
    first = rows.sort_values("doc_id").groupby("content_hash")["domain"].first()
    rows["domain"] = rows["content_hash"].map(first)
    folds = balanced_folds(rows["domain"].value_counts().to_dict(), FOLDS)
    rows["fold"] = rows["domain"].map(folds)
    return rows.assign(text=rows["spoilt_text"].fillna(rows["text"]), spoilt=is_spoilt)
