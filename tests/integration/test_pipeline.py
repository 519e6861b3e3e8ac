"""The steps on a small real corpus: what they leave, do again, and refuse.

The tests of this file share one schema and build on one another, in the order written.
"""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import mlflow
import pytest
from mira_spark.udfs import register_all
from pyspark.sql import Row, SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.cli import student_figures
from mira_spark.corpus import tokens
from mira_spark.corpus.groups import source_groups
from mira_spark.distillation import champions, mlflow_runs, registry
from mira_spark.errors import ConfigError, InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.report import rows as report_rows
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.selection import order
from mira_spark.settings.root import Settings, load
from tests.distillation.test_registry import tracked_at


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings, first_run: str) -> Lakehouse:
    return Lakehouse(spark, settings.namespace)


TABLES_READ = ("documents", "source_groups", "judge_calls", "judgement_points", "rubrics", "labels",
               "students", "student_reliability", "student_figures", "student_predictions",
               "noise_checks", "scores", "score_histogram", "selections",
               "selection_cutoffs", "rejected_documents")  # fmt: skip


def versions(lake: Lakehouse) -> dict[str, int]:
    return {table: lake.version(table) for table in TABLES_READ}


def told(lake: Lakehouse, settings: Settings, run_id: str) -> str:
    """What the pipeline prints."""
    with console.capture() as output:
        assert pipeline.perform(lake, settings, run_id) == 0, output.get()
    return output.get()


def selected(lake: Lakehouse) -> set[str]:
    return {r["doc_id"] for r in lake.read("selected").select("doc_id").collect()}


def by_brute_force(lake: Lakehouse, budget: int, seed: int) -> set[str]:
    """The policy `group` in plain Python: set aside what is oversized, sort each group, keep the
    longest prefix in its share."""
    rows = lake.read("scored_documents").withColumn("tie", order.tie_hash(seed)).collect()
    competing = {
        group: without_oversized([r for r in rows if r["source_group"] == group])
        for group in {r["source_group"] for r in rows}
    }
    total = sum(r["n_tokens"] for own in competing.values() for r in own)
    kept = set()
    for own in competing.values():
        left = Fraction(budget * sum(r["n_tokens"] for r in own), total)
        for row in sorted(own, key=lambda r: (-r["quality"], r["tie"], r["doc_id"])):
            if row["n_tokens"] > left:
                break
            left -= row["n_tokens"]
            kept.add(row["doc_id"])
    return kept


def without_oversized(rows: list[Row]) -> list[Row]:
    """Those of a pool that have no more than 1 % of its tokens, or ten times their mean."""
    tokens = sum(r["n_tokens"] for r in rows)
    most = int(tokens * max(Fraction(1, 100), Fraction(10, len(rows))))
    return [r for r in rows if r["n_tokens"] <= most]


def test_the_whole_run_leaves_every_document_scored_once(
    lake: Lakehouse, settings: Settings
) -> None:
    documents = lake.read("documents").count()
    assert documents >= 500
    scores = lake.read("scores")
    assert scores.count() == scores.select("doc_id").distinct().count() == documents
    assert scores.filter("status = 'scored' AND quality BETWEEN 0 AND 10000").count() == documents
    assert lake.read("scored_documents").count() == documents
    assert lake.read("corpus").filter("source_group IS NULL").count() == 0
    runs = lake.read("runs").filter("run_id = 'first'").collect()
    states = {(step, status) for step in pipeline.STEPS for status in ("running", "done")}
    assert {(r["step"], r["status"]) for r in runs} == states
    assert all((r["finished_at"] is None) == (r["status"] == "running") for r in runs)


def test_code_is_apart_from_prose_and_their_rubrics_differ(
    lake: Lakehouse, settings: Settings
) -> None:
    groups = source_groups(lake, settings.source_grouping)
    assert groups["stdlib_code"] == groups["type_stubs"]
    assert groups["stdlib_code"] != groups["package_descriptions"]
    names: dict[str, set[str]] = {}
    for row in lake.read("rubrics").collect():
        names.setdefault(row["source_group"], set()).add(row["name"])
    assert all(len(of_group) == 15 for of_group in names.values())
    code, prose = names[groups["stdlib_code"]], names[groups["package_descriptions"]]
    assert len(code & prose) < 12


def test_every_student_is_registered_and_its_champion_is_what_scored(
    lake: Lakehouse, settings: Settings
) -> None:
    groups = sorted(set(source_groups(lake, settings.source_grouping).values()))
    found = registry.champions(settings.student_registry, groups)
    assert sorted(found) == groups
    used = {r["student_id"] for r in lake.read("scores").select("student_id").distinct().collect()}
    assert used == set(found.values())
    recorded = {r["student_id"]: r["gate"] for r in lake.read("students").collect()}
    assert recorded == dict.fromkeys(found.values(), "passed")


def test_mlflow_gives_every_student_with_its_figures_and_what_it_was_made_from(
    lake: Lakehouse, settings: Settings
) -> None:
    name = registry.model_name(settings.student_registry, "group_a")
    with tracked_at(f"sqlite:///{settings.folder}/mlflow.db"):
        model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    rows = lake.read("scores").filter("source_group = 'group_a'").orderBy("doc_id").limit(20)
    texts = lake.read("documents").select("doc_id", "text")
    scored = rows.join(texts, on="doc_id", how="inner").toPandas()
    found = model.predict(scored[["text", "source"]])
    assert (found["quality"] * 1000).round().tolist() == scored["quality"].tolist()
    client = mlflow_runs.client(settings.student_registry)
    run = client.get_run(model.metadata.run_id)
    inputs = {
        each.dataset.name: json.loads(each.dataset.source) for each in run.inputs.dataset_inputs
    }
    assert inputs[lake.name("labels")]["delta_table_version"] > 0
    assert set(inputs) == {lake.name("labels"), lake.name("documents")}
    for figure in ("student/gain_40", "tfidf_ridge/spearman", "length/student_lead_40"):
        assert f"quality/{figure}" in run.data.metrics
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files >= {"evaluation.csv", "reliability.html", "calibration.html"}


def test_no_slot_counts_in_a_source_where_over_half_of_the_labels_have_no_score(
    lake: Lakehouse,
) -> None:
    cells = lake.read("student_reliability")
    mostly_null = cells.filter("nulls > rows").collect()
    assert mostly_null, "the heuristic judge leaves slots out that do not apply"
    assert not any(cell["counts"] or cell["applies"] for cell in mostly_null)
    assert not cells.filter("nulls <= rows AND rows > 0 AND NOT applies").count()


def test_what_a_student_is_worth_is_shown_and_recorded(lake: Lakehouse, settings: Settings) -> None:
    (student,) = registry.champions(settings.student_registry, ["group_a"]).values()
    with console.capture() as capture:
        row = champions.student_row(lake, student)
        student_figures.show_worth(student_figures.student_worth(lake, row))
    shown = " ".join(capture.get().split())
    for words in ("gain at 40% of the tokens", "source's mean", "cut_and_repeated", "slope"):
        assert words in shown
    of_student = lake.read("student_figures").filter(F.col("student_id") == student)
    gain = of_student.filter("predictor = 'student' AND figure = 'gain_40' AND source IS NULL")
    (row,) = lake.read("students").filter(F.col("student_id") == student).collect()
    assert [each["value"] for each in gain.collect()] == [row["gain_40"]]
    predictions = lake.read("student_predictions").filter(F.col("student_id") == student)
    assert predictions.count() == row["held_out_rows"] == row["labels"]


def test_a_student_whose_gate_failed_scores_only_when_forced(
    lake: Lakehouse, settings: Settings
) -> None:
    (student,) = registry.champions(settings.student_registry, ["group_a"]).values()
    is_student = F.col("student_id") == student
    with pytest.raises(InputError, match=rf"there is no student nobody/1; there are .*{student}"):
        champions.promote(lake, settings.student_registry, "nobody/1", False)
    lake.update("students", is_student, {"gate": F.lit("failed")})
    with pytest.raises(
        InputError, match=r"did not pass its gate: .*mira students promote .* --force lets it score"
    ):
        champions.promote(lake, settings.student_registry, student, False)
    said = champions.promote(lake, settings.student_registry, student.rpartition("-")[0], True)
    assert said == f"group_a: {student} is champion, forced"
    (listed,) = [
        row for row in champions.list_students(lake, settings.student_registry) if row[0] == student
    ]
    assert listed[1:3] == ("champion", "linear")
    assert listed[5] == "forced"


def test_the_selection_is_that_of_a_plain_sort_and_within_the_budget(
    lake: Lakehouse, settings: Settings
) -> None:
    row = lake.read("selections").collect()[0]
    assert row["budget_tokens"] == row_tokens(lake) * 40 // 100
    assert selected(lake) == by_brute_force(lake, row["budget_tokens"], 0)
    kept = lake.read("selected").agg(F.sum("n_tokens"), F.count("*")).collect()[0]
    assert (kept[0], kept[1]) == (row["selected_tokens"], row["selected_documents"])
    largest = lake.read("documents").agg(F.max("n_tokens")).collect()[0][0]
    groups = lake.read("source_groups").select("source_group").distinct().count()
    assert 0 <= row["budget_tokens"] - row["selected_tokens"] <= groups * largest


def row_tokens(lake: Lakehouse) -> int:
    return int(lake.read("documents").agg(F.sum("n_tokens")).collect()[0][0])


def test_labels_are_readable_in_sql_with_names_and_reasons(lake: Lakehouse) -> None:
    points = lake.read("label_points")
    labels = lake.read("labels")
    assert labels.filter("spoilt IS NOT NULL").count() > 0
    assert points.count() == 15 * labels.filter("spoilt IS NULL").count()
    row = points.filter("score IS NOT NULL").orderBy("doc_id", "slot").limit(1).collect()[0]
    assert row["name"]
    assert row["reason"]


def test_the_report_has_the_documents_at_each_end_and_at_the_cut(
    lake: Lakehouse, settings: Settings
) -> None:
    cuts = {row["source"]: row["quality_cut"] for row in lake.read("latest_cutoffs").collect()}
    scores = lake.read("scores")
    shown: dict[tuple[str, str], list[int]] = {}
    for row in report_rows.documents_to_read(scores, sorted(cuts), cuts).collect():
        shown.setdefault((row["source"], row["end"]), []).append(row["quality"])
    for source, cut in cuts.items():
        own = sorted(r["quality"] for r in scores.filter(F.col("source") == source).collect())
        assert {end: sorted(q) for (s, end), q in shown.items() if s == source} == {
            "lowest": own[:3],
            "just below the cut": [q for q in own if q < cut][-3:],
            "at or just above the cut": [q for q in own if q >= cut][:3],
            "highest": own[-3:],
        }
    page = (settings.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("just below the cut") == len(
        report_rows.example_sources([r.asDict() for r in lake.read("latest_cutoffs").collect()])
    )


def test_a_second_run_does_nothing_and_asks_nothing(lake: Lakehouse, settings: Settings) -> None:
    before = versions(lake)
    said = told(lake, settings, "second")
    assert said.count("nothing to do") == len(pipeline.STEPS)
    assert versions(lake) == before


def test_another_budget_makes_selection_alone_again(lake: Lakehouse, settings: Settings) -> None:
    before = versions(lake)
    whole = selected(lake)
    changed = settings.model_copy(
        update={"selection": settings.selection.model_copy(update={"budget": "30%"})}
    )
    said = told(lake, changed, "third")
    assert said.count("nothing to do") == len(pipeline.STEPS) - 2  # selection and its report
    after = versions(lake)
    assert {t for t in after if after[t] != before[t]} == {"selections", "selection_cutoffs"}
    assert selected(lake) < whole, "a smaller budget keeps a part of what the larger kept"
    assert selected(lake) == by_brute_force(lake, row_tokens(lake) * 30 // 100, 0)


def test_what_changed_or_is_new_is_scored_and_nothing_else(
    lake: Lakehouse, settings: Settings, files: Path
) -> None:
    """A changed text, a new document and a new source, in one run."""
    before = versions(lake)
    old_text = lake.read("documents").filter("source = 'type_stubs'").orderBy("doc_id").first()
    path = files / "type_stubs.json"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    changed = next(row for row in rows if row["id"] == old_text["doc_id"])
    changed["text"] = "# a longer text than before\n" + changed["text"]
    rows.append({"id": "new", "source": "type_stubs", "text": "def new() -> int: ...\n" * 20})
    path.write_text("\n".join(json.dumps(row) for row in rows))
    lines = (files / "stdlib_code.json").read_text().splitlines()[:20]
    of_new_source = [json.loads(line) | {"source": "more_code"} for line in lines]
    again = [row | {"id": f"again/{row['id']}"} for row in of_new_source]
    (files / "more_code.json").write_text("\n".join(json.dumps(row) for row in again))
    said = told(lake, settings, "fourth")
    assert "21 new and 1 changed documents" in said
    assert "22 documents scored in" in said
    after = versions(lake)
    assert {t for t in after if after[t] != before[t]} == {
        "documents", "source_groups", "scores", "score_histogram", "selections",
        "selection_cutoffs",
    }, "no judge was asked, no student trained"  # fmt: skip
    documents = lake.read("documents").count()
    assert lake.read("scored_documents").count() == documents
    assert lake.read("scores").count() == documents + 1, "the old text's score is kept"
    old = lake.read("documents", before["documents"]).filter(F.col("doc_id") == old_text["doc_id"])
    assert old.collect()[0]["text"] == old_text["text"], "the version before stays readable"
    groups = source_groups(lake, settings.source_grouping)
    assert groups["more_code"] == groups["stdlib_code"], "the nearest group is joined"
    assert lake.read("scored_documents").filter("source = 'more_code'").count() == 20
    assert selected(lake) == by_brute_force(lake, row_tokens(lake) * 40 // 100, 0)


def test_sql_functions_give_what_the_step_wrote(lake: Lakehouse, settings: Settings) -> None:
    groups = source_groups(lake, settings.source_grouping)
    scorers = champion_scorers(lake, settings.student_registry, groups.values())
    register_all(lake.spark, scorers, tokens.tokenizer("bytes4"))
    rows = lake.spark.sql(
        f"""SELECT c.n_tokens, count_tokens(c.text) AS tokens, s.quality, s.dimension_scores,
               mira_quality(c.text, c.source, c.source_group) AS again,
               mira_scores(c.text, c.source_group) AS scores_again
        FROM {lake.name("corpus")} AS c JOIN {lake.name("scores")} AS s
          ON s.doc_id = c.doc_id AND s.content_hash = c.content_hash"""
    ).collect()
    assert len(rows) == lake.read("documents").count()
    for row in rows:
        assert row["n_tokens"] == row["tokens"]
        assert row["quality"] == row["again"]
        assert row["dimension_scores"] == row["scores_again"]
    nulls = lake.spark.sql(
        "SELECT mira_quality(CAST(NULL AS STRING), 's', 'group_a'), "
        "mira_quality('t', 's', 'none'), mira_scores('t', CAST(NULL AS STRING)), "
        "count_tokens(CAST(NULL AS STRING))"
    ).collect()[0]
    assert list(nulls) == [None, None, None, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["selection.budget=1"], "less than the smallest document"),
        (["grouping.mapping={nowhere: group_a}"], "grouping.mapping: no source is called nowhere"),
        (["corpus.path=/nowhere/at/all"], "corpus.path: /nowhere/at/all cannot be read"),
        (["corpus.columns.text=body"], "corpus.columns.text: the input has no column body"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_the_selection_as_it_was(
    lake: Lakehouse, settings: Settings, changes: list[str], message: str
) -> None:
    before = selected(lake)
    tree = settings.model_dump(mode="json")
    base = [f"{section}={json.dumps(values)}" for section, values in tree.items()]
    changed = load(None, [*base, *changes])
    with pytest.raises(InputError, match=message):
        pipeline.perform(lake, changed, "refused")
    assert selected(lake) == before


def test_another_tokenizer_is_refused_for_a_counted_corpus(
    lake: Lakehouse, settings: Settings, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(tmp_path / "t.json")
    )
    changed = settings.model_copy(
        update={
            "corpus": settings.corpus.model_copy(update={"tokenizer": str(tmp_path / "t.json")})
        }
    )
    with pytest.raises(ConfigError, match="was counted with bytes4"):
        pipeline.perform(lake, changed, "refused", ["ingest_corpus"])


@pytest.fixture(scope="module")
def bare(spark: SparkSession) -> Iterator[Lakehouse]:
    """A schema of its own for corpora that are hardly any."""
    yield Lakehouse(spark, "bare")
    spark.sql("DROP SCHEMA bare CASCADE")


def of_lines(
    settings: Settings, lake: Lakehouse, folder: Path, rows: list[dict[str, str]]
) -> Settings:
    """The settings with these rows as the corpus."""
    (folder / "rows.json").write_text("\n".join(json.dumps(row) for row in rows))
    columns = settings.corpus.columns.model_copy(update={"domain": None})
    corpus = settings.corpus.model_copy(update={"path": str(folder), "columns": columns})
    return settings.model_copy(update={"namespace": lake.namespace, "corpus": corpus})


def test_an_empty_corpus_is_refused(bare: Lakehouse, settings: Settings, tmp_path: Path) -> None:
    changed = of_lines(settings, bare, tmp_path, [{"id": "a", "source": "s", "text": "  "}])
    with pytest.raises(InputError, match="the corpus is empty"):
        pipeline.perform(bare, changed, "refused", ["ingest_corpus"])
    assert [r["reason"] for r in bare.read("rejected_documents").collect()] == ["empty"]


def test_a_corpus_of_one_source_is_one_group_and_says_so(
    bare: Lakehouse, settings: Settings, tmp_path: Path
) -> None:
    rows = [{"id": str(i), "source": "only", "text": f"text number {i}"} for i in range(5)]
    changed = of_lines(settings, bare, tmp_path, rows)
    with console.capture() as output:
        assert pipeline.perform(bare, changed, "one", ["ingest_corpus", "group_sources"]) == 0
    assert "1 sources into 1 groups (one source is one group" in output.get()
    assert source_groups(bare, changed.source_grouping) == {"only": "group_a"}
