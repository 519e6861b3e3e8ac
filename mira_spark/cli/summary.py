"""What the demo shows at its end: what the qualities are worth, what was kept, the best and the
worst, and where to go on."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from mira_spark import pipeline
from mira_spark.cli import student_figures
from mira_spark.cli.opening import open_lakehouse
from mira_spark.corpus.groups import source_groups
from mira_spark.labels import forms
from mira_spark.lake import runs
from mira_spark.lake.scale import POINT
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import note, say, show_table, voice, write_answer
from mira_spark.selection import record
from mira_spark.settings.root import Settings


def run_demo(settings: Settings, run_id: str | None, as_json: bool) -> int:
    """The pipeline's exit code; prints what came out of it, and how long it took."""
    started = time.monotonic()
    lake, run_id = open_lakehouse(settings, creates=True), run_id or runs.new_run_id()
    code = pipeline.perform(lake, settings, run_id)
    if as_json:
        write_answer(run_answer(lake, run_id, code))
    elif code in (0, 3) and not voice.is_quiet:
        show(lake, settings)
    note()
    note(f"{time.monotonic() - started:.0f} seconds")
    return code


@dataclass(frozen=True)
class RunAnswer:
    """What a run did: `exit_code` is that of the worst outcome, also where it was accepted as a
    success; of each step its last row of `runs`, in order."""

    run_id: str
    exit_code: int
    steps: list[dict[str, Any]]


def run_answer(lake: Lakehouse, run_id: str, exit_code: int) -> RunAnswer:
    """From the table `runs`."""
    rows = lake.read("runs").filter(F.col("run_id") == run_id).filter("finished_at IS NOT NULL")
    last = {row["step"]: row.asDict() for row in rows.orderBy("started_at").collect()}
    return RunAnswer(run_id, exit_code, list(last.values()))


def show_run(lake: Lakehouse, settings: Settings, run_id: str, config: str | None) -> None:
    """What a run of all steps ends with: what is kept, what the judge cost in it, and where to go
    on."""
    say()
    _shares(lake, settings)
    calls = lake.read("judge_calls").filter(F.col("run_id") == run_id)
    failed = F.count_if(F.col("outcome") == "failed")
    count, dollars, bad = calls.agg(F.count("*"), F.sum("cost_usd"), failed).collect()[0]
    say()
    line = f"{count:,} calls of the judge in this run, ${dollars or 0:,.2f}"
    say(line + (f"; {bad:,} failed: mira judge retry asks them again" if bad else ""))
    same = f" --config {shlex.quote(config)}" if config else ""
    say(f"Next: mira selection show {settings.selection.name}{same}")


def show(lake: Lakehouse, settings: Settings) -> None:
    """Print what the qualities are worth, the kept shares, six documents of one source with their
    dimensions, and what next; leaves the settings in `demo.yaml` in their folder for that."""
    groups = sorted(set(source_groups(lake, settings.source_grouping).values()))
    student_figures.show_champions(lake, settings.student_registry, groups)
    say()
    _shares(lake, settings)
    _examples(lake)
    _next(lake, settings)


def _shares(lake: Lakehouse, settings: Settings) -> None:
    latest = record.selection_named(lake, settings.selection.name)
    rows = lake.execute(
        f"""SELECT c.source_group, c.source, c.total_documents, c.total_tokens, c.kept_documents,
               c.kept_tokens, h.quality, c.quality_cut
        FROM {lake.name("selection_cutoffs")} AS c
        LEFT JOIN (SELECT source, avg(quality) AS quality FROM {lake.name("scored_documents")}
                   GROUP BY source) AS h ON h.source = c.source
        WHERE c.selection_id = '{latest.selection_id}'
        ORDER BY c.source_group, c.total_tokens DESC"""
    ).collect()
    cells: list[Sequence[str] | None] = [
        (
            row["source_group"],
            row["source"],
            f"{row['total_documents']:,}",
            f"{row['total_tokens']:,}",
            f"{(row['quality'] or 0) / POINT:.2f}",
            f"{max(row['quality_cut'], 0) / POINT:.2f}",
            f"{row['kept_documents'] / max(1, row['total_documents']):.0%}",
            f"{row['kept_tokens'] / max(1, row['total_tokens']):.0%}",
        )
        for row in rows
    ]
    selected, total = (sum(r[c] for r in rows) for c in ("kept_tokens", "total_tokens"))
    documents = [sum(r[c] for r in rows) for c in ("total_documents", "kept_documents")]
    cells += [None, (
        "all", "", f"{documents[0]:,}", f"{total:,}", "", "",
        f"{documents[1] / max(1, documents[0]):.0%}", f"{selected / max(1, total):.0%}",
    )]  # fmt: skip
    headings = ("group", "source", "documents", "tokens", "mean quality", "cut", "kept documents",
                "kept tokens")  # fmt: skip
    show_table(headings, cells, texts=2, title="What was kept")


def _examples(lake: Lakehouse) -> None:
    scored = lake.name("scored_documents")
    largest = lake.execute(
        f"SELECT source FROM {scored} WHERE quality IS NOT NULL GROUP BY source "
        "ORDER BY count(*) DESC, source LIMIT 1"
    ).collect()
    if not largest:
        return
    source = largest[0]["source"]
    say()
    say((f"The three highest and three lowest documents of {source}", "bold"))
    cells: list[Sequence[str] | None] = []
    rows = lake.read("scored_documents").filter("quality IS NOT NULL")
    rows = rows.filter(rows["source"] == source)
    for order in (["quality desc", "doc_id"], ["quality asc", "doc_id"]):
        keys = [
            rows[k.split()[0]].desc() if "desc" in k else rows[k.split()[0]].asc() for k in order
        ]
        for row in rows.orderBy(*keys).limit(3).collect():
            ranked = sorted(row["dimensions"].items(), key=lambda d: d[1])
            best, worst = (f"{name} {score / POINT:.1f}" for name, score in (ranked[-1], ranked[0]))
            quality = f"{row['quality'] / POINT:.2f}"
            cells.append((quality, row["doc_id"][-70:], best, worst))
        cells.append(None)
    show_table(("quality", "document", "best dimension", "worst dimension"), cells)


def _next(lake: Lakehouse, settings: Settings) -> None:
    folder = settings.driver_files
    say()
    say(f"The tables are in {folder}/warehouse/{lake.namespace}.db, MLflow in {folder}/mlflow.db.")
    judge = forms.task_model(settings.judge, "labelling")
    asked = f"the judge {forms.judge_name(judge)}"
    if judge.kind == "heuristic":
        asked = "the heuristic judge, a stand-in: it measures, it does not read"
    say(f"Qualities were learnt from {asked}.")
    file = folder / "demo.yaml"
    file.write_text(settings.as_yaml(), encoding="utf-8")
    same = f"--config {shlex.quote(str(file))}"
    say()
    say("Next:")
    for command in (
        f'mira sql {same} "select source, count(*), sum(n_tokens) from selected group by source"',
        f"mira demo {same} --set selection.budget=20%",
        f"mira status {same}",
        "mira run --config my.yaml    # your own corpus, see conf/local.yaml",
    ):
        say(f"  .venv/bin/{command}")
