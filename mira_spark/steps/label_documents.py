"""Let the judge score a larger sample on each group's rubric. Reads `documents`, `source_groups`,
`rubrics`; writes `judge_calls`, `labels`."""

from collections.abc import Iterator

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from mira_spark import corpus, current, judging, labelling
from mira_spark.errors import InputError
from mira_spark.judges.ledger import Ledger, answered
from mira_spark.judges.protocol import Answer, Judge, Purpose
from mira_spark.labelling import Scores
from mira_spark.progress import track
from mira_spark.rubrics import Rubric
from mira_spark.runs import Outcome
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

SETTINGS = ("labelling", "judge")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The rubric of every group: new documents do not ask for new labels."""
    rubrics = current_rubrics(lake, settings)
    return {f"rubric of {g}": r.rubric_id for g, r in rubrics.items()}


def current_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    """Group to rubric; InputError when a group has none yet."""
    judge = judging.open_judge(settings.judge)
    groups = current.groups(lake, settings)
    discoveries = current.discovery_ids(settings, groups.values(), judge.name)
    rubrics = current.rubrics(lake, discoveries)
    missing = sorted(set(discoveries) - set(rubrics))
    if missing:
        raise InputError(f"no rubric for {', '.join(missing)}: run discover_rubrics first")
    return rubrics


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Labels for the sampled documents that have none on their group's rubric."""
    judge = judging.open_judge(settings.judge)
    groups = current.groups(lake, settings)
    labelled = invalid = 0
    for source_group, rubric in current_rubrics(lake, settings).items():
        sources = [s for s, g in groups.items() if g == source_group]
        pending = _pending(lake, settings, rubric, sources)
        shown = judging.shown(pending, settings.judge.window_tokens)
        rows = shown.orderBy("doc_id").toLocalIterator()
        total = len(sources) * settings.labelling.documents_per_source
        ledger = judging.open_ledger(lake, judge, run_id, source_group, rubric)
        for chunk in track(judging.chunks(rows), total, source_group, judging.CHUNK):
            good = list(_labels(settings, judge, ledger, rubric, chunk))
            lake.append_rows(good, "labels", run_id)
            labelled += len(good)
            invalid += len(chunk) - len(good)
    _view(lake)
    message = f"{labelled:,} documents labelled by {judge.name}"
    if invalid:
        message += f"; {invalid:,} answers could not be read"
    return Outcome(message, rows_out=labelled, rows_rejected=invalid)


def _pending(lake: Lakehouse, settings: Settings, rubric: Rubric, sources: list[str]) -> DataFrame:
    """The group's sample less what is labelled on this rubric."""
    documents = lake.read("documents").filter(F.col("source").isin(sources))
    chosen = settings.labelling
    sampled = corpus.sample(documents, chosen.documents_per_source, chosen.seed)
    done = lake.read("labels").filter(F.col("rubric_id") == rubric.rubric_id)
    return sampled.join(done, on=["doc_id", "content_hash"], how="left_anti")


def _labels(
    settings: Settings, judge: Judge, ledger: Ledger, rubric: Rubric, chunk: list[Row]
) -> Iterator[dict[str, object]]:
    """The rows of `labels` for a chunk; a document whose answer cannot be read has none."""
    repeats = [row for row in chunk if labelling.is_repeated(row["doc_id"], settings.labelling)]
    asked: list[tuple[Row, Purpose]] = [(row, "label") for row in chunk]
    asked += [(row, "repeat") for row in repeats]
    requests = [
        judging.request(row, rubric.source_group, judge, purpose, rubric) for row, purpose in asked
    ]
    read = {
        (request.doc_id, request.replicate): (request, _read(answer, len(rubric.anchors)))
        for request, answer in answered(judge, ledger, requests)
    }
    for row in chunk:
        request, scores = read[row["doc_id"], 0]
        if scores is None:
            continue
        _, again = read.get((row["doc_id"], 1), (request, None))
        yield {
            "doc_id": row["doc_id"],
            "content_hash": row["content_hash"],
            "source": row["source"],
            "source_group": rubric.source_group,
            "rubric_id": rubric.rubric_id,
            "scores": scores.scores,
            "repeat_scores": again.scores if again else None,
            "reasons": scores.reasons,
            "split": labelling.split(row["doc_id"], settings.labelling),
            "call_key": request.call_key,
        }


def _read(answer: Answer, slots: int) -> Scores | None:
    if answer.outcome != "answered":
        return None
    try:
        return labelling.parse_scores(answer.raw_response, slots)
    except ValueError:
        return None


def _view(lake: Lakehouse) -> None:
    lake.create_view(
        "label_points",
        "SELECT l.doc_id, l.source, l.source_group, l.rubric_id, r.slot, r.name, "
        "l.scores[r.slot] AS score, l.reasons[r.slot] AS reason, l.split "
        f"FROM {lake.name('labels')} AS l JOIN (SELECT DISTINCT rubric_id, slot, name "
        f"FROM {lake.name('rubrics')}) AS r ON r.rubric_id = l.rubric_id",
        "the labels, one row per document and slot of its rubric",
    )
