"""Put every source into a group. Reads `documents`; writes `source_groups`, `embeddings`,
`judge_calls`, the view `corpus`."""

import hashlib
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from operator import itemgetter

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import grouping, sampling
from mira_spark.corpus.embedder_ids import embedder_id
from mira_spark.corpus.embedding import Embedder
from mira_spark.corpus.grouping import Source
from mira_spark.corpus.groups import record_embedder
from mira_spark.embedders.opening import named_embedder, open_embedder
from mira_spark.errors import InputError
from mira_spark.labels import questions
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings

SETTINGS = ("grouping",)
WRITES = ("source_groups", "embeddings", "judge_calls")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The names of the sources, and the embedder."""
    names = sorted(
        r["source"] for r in lake.read("documents").select("source").distinct().collect()
    )
    if not names:
        raise InputError(f"{lake.name('documents')} is empty: run mira ingest-corpus first")
    unknown = sorted(set(settings.grouping.mapping) - set(names))
    if unknown:
        raise InputError(
            f"grouping.mapping: no source is called {', '.join(unknown)}; the sources are: "
            f"{', '.join(names)}"
        )
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return {"sources": digest, **named_embedder(embedder_id(settings.embedder))}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Always empty: whether the step has work to do follows from its settings and inputs alone."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Cluster the sources once; those that come later join the nearest group."""
    by = embedder_id(settings.embedder)
    grouping_id = grouping.grouping_id(settings.grouping, by)
    table = lake.read("source_groups").filter(F.col("grouping_id") == grouping_id)
    before = {r["source"]: (r["source_group"], np.array(r["embedding"])) for r in table.collect()}
    where = (settings.judge, settings.driver_files, run_id)
    with open_embedder(lake, settings.embedder, *where) as embedder:
        sources = _sources(lake, settings, set(before), embedder)
    if before:
        groups_of_new = {
            s.name: settings.grouping.mapping.get(s.name) or grouping.join_nearest(s, before)
            for s in sources
        }
    else:
        groups_of_new = grouping.group(sources, settings.grouping)
    vectors = {name: vector for name, (_, vector) in before.items()}
    vectors |= {s.name: s.vector for s in sources}
    rows = _rows(sources, groups_of_new, vectors, grouping_id)
    lake.append_rows(rows, "source_groups", run_id)
    record_embedder(lake, settings.embedder, by)
    _view(lake, grouping_id)
    groups = {*groups_of_new.values(), *(g for g, _ in before.values())}
    message = f"{len(rows)} sources into {len(groups)} groups"
    if len(vectors) == 1:
        message += " (one source is one group: there is nothing to compare)"
    return Outcome(message, rows_out=len(rows))


def _sources(
    lake: Lakehouse, settings: Settings, known: set[str], embedder: Embedder
) -> list[Source]:
    """The sources not in `known`, by name, each with the vector of its sampled documents.

    InputError, before anything is embedded, for sources without a document that may be sent to the
    embedder.
    """
    documents = lake.read("documents")
    sizes = documents.groupBy("source").agg(
        F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens")
    )
    new = [r for r in sizes.orderBy("source").collect() if r["source"] not in known]
    of_new = documents.filter(F.col("source").isin([r["source"] for r in new]))
    chosen = settings.grouping
    if settings.embedder.kind == "openai":
        of_new = questions.may_leave(of_new, settings.judge.licenses)
        _check_sendable(of_new, {r["source"] for r in new})
    sampled = sampling.sample(of_new, chosen.documents_per_source, chosen.seed)
    ordered = (
        questions.with_excerpts(sampled, grouping.WINDOW_TOKENS)
        .orderBy("source", "doc_id")
        .toLocalIterator()
    )
    vectors = {
        name: grouping.source_vector((row["document"] for row in rows), embedder)
        for name, rows in itertools.groupby(ordered, key=itemgetter("source"))
    }
    return [Source(r["source"], r["documents"], r["tokens"], *vectors[r["source"]]) for r in new]


def _check_sendable(documents: DataFrame, sources: set[str]) -> None:
    kept = {r["source"] for r in documents.select("source").distinct().collect()}
    if missing := sorted(sources - kept):
        raise InputError(
            f"embedder: nothing of {', '.join(missing)} may be sent (sendable is false, or the "
            "licence is not in judge.licenses); use embedder.kind hashing or encoder, or leave the "
            "source out"
        )


def _rows(
    sources: list[Source],
    group_of: Mapping[str, str],
    vectors: Mapping[str, npt.NDArray[np.float32]],
    grouping_id: str,
) -> list[dict[str, object]]:
    """The rows of `source_groups` for these sources; `vectors` are those of all."""
    if not sources:
        return []
    names = sorted(vectors)
    place_of = {name: place for place, name in enumerate(names)}
    all_vectors = np.stack([vectors[name] for name in names])
    near, cosines = grouping.nearest(all_vectors, [place_of[s.name] for s in sources])
    has_other, now = len(names) > 1, datetime.now(UTC)
    return [
        {
            "grouping_id": grouping_id,
            "source": source.name,
            "source_group": group_of[source.name],
            "embedding": source.vector.tolist(),
            "documents": source.documents,
            "tokens": source.tokens,
            "sampled": source.sampled,
            "nearest_source": names[place] if has_other else None,
            "nearest_cosine": float(cosine) if has_other else None,
            "created_at": now,
        }
        for source, place, cosine in zip(sources, near, cosines, strict=True)
    ]


def _view(lake: Lakehouse, grouping_id: str) -> None:
    lake.create_view(
        "corpus",
        f"SELECT d.*, g.source_group FROM {lake.name('documents')} AS d "
        f"JOIN {lake.name('source_groups')} AS g ON g.source = d.source "
        f"WHERE g.grouping_id = '{grouping_id}'",
        "the documents with the group of their source",
    )
