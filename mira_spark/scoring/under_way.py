"""What another process is scoring at the moment, told from what it has committed."""

from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import functions as F

from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.current_scores import current_scores
from mira_spark.scoring.progress import Advance
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.students import Registry

NOTE = "scoring.txt"


def progress_line(lake: Lakehouse, grouping: Grouping, place: Registry) -> str | None:
    """How far the scoring under way is, by `Advance.line`; None when none was begun and not ended.

    A process that was killed counts as under way until the next one.
    """
    of_step = lake.read("runs").filter(F.col("step") == "score_documents")
    latest = of_step.orderBy(F.desc("started_at"), F.col("finished_at").desc_nulls_last()).limit(1)
    rows = latest.select("run_id", "status", F.unix_timestamp("started_at").alias("at")).collect()
    if not rows or rows[0]["status"] != "running":
        return None
    scorers = champion_scorers(lake, place, source_groups(lake, grouping).values())
    students = [scorer.student_id for scorer in scorers.values()]
    version = lake.version("documents")
    pinned = (version, lake.version("scores"))
    scores = current_scores(lake, current_grouping_id(lake, grouping), students, *pinned)
    own = F.col("run_id") == rows[0]["run_id"]
    quarantined = F.count_if(own & (F.col("status") == "quarantined"))
    sums = (F.count_if(own), F.sum(F.when(own, F.col("n_tokens"))), quarantined, F.count("*"),
            F.sum("n_tokens"))  # fmt: skip
    by_source = {
        source: counts for source, *counts in scores.groupBy("source").agg(*sums).collect()
    }
    documents = lake.read("documents", version).groupBy("source")
    advance = Advance({}, 0, started=rows[0]["at"])
    wanted = {}
    for source, count, tokens in documents.agg(F.count("*"), F.sum("n_tokens")).collect():
        new, new_tokens, bad, scored, scored_tokens = by_source.get(source, (0, 0, 0, 0, 0))
        wanted[source] = count - scored + new
        advance.tokens += tokens - scored_tokens + (new_tokens or 0)
        advance.done[source] = new
        advance.done_tokens += new_tokens or 0
        advance.quarantined += bad
    advance.wanted = {source: count for source, count in wanted.items() if count}
    return advance.line(datetime.now(UTC).timestamp())


def leave_note(folder: Path, line: str) -> None:
    """Leave the line for `read_note`: a local catalog admits one process, so no other can ask
    it."""
    path = folder / NOTE
    path.with_suffix(".new").write_text(line + "\n", encoding="utf-8")
    path.with_suffix(".new").replace(path)


def read_note(folder: Path) -> str | None:
    """What the process that holds a local folder last said of its scoring."""
    try:
        return (folder / NOTE).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
