"""A small lake that ages: what other hands and time may do to it, and what it must show."""

import contextlib
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pyspark.errors import PySparkException

from mira_spark import pipeline
from mira_spark.corpus import grouping
from mira_spark.distillation import mlflow_runs, registry
from mira_spark.errors import MiraError
from mira_spark.judges.calls.journal import Journal
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import VARIABLE, DrillError
from mira_spark.process.progress import console
from mira_spark.scoring import repair
from mira_spark.selection import lost_versions, order, record
from mira_spark.settings.root import Settings, load
from tests import scoring_lake
from tests.judges.calls.test_journal import all_at_once, row
from tests.labels.test_judge_calls import called, into
from tests.scoring.test_batches import documents as batch, linear, scored
from tests.scoring_lake import NOW
from tests.selection_lake import rule
from tests.selection_oracle import Document, kept

SOURCES = ("web", "code")
TABLES = ("documents", "scores", "score_checks", "score_histogram", "selections")
STEPS = ("score_documents", "select_documents")
SHARE = 40
SHOWN = ("selected", "selected_default", "scored_documents")
STATEMENT = re.compile(r"ALTER TABLE \S+ SET TBLPROPERTIES \([^)]*\)")
COMMAND = re.compile(r"run (mira [a-z]+(?:[ -](?!first\b)[a-z]+)*)")


@dataclass
class Lake:
    """The lake, and what its views showed last."""

    lake: Lakehouse
    settings: Settings
    folder: Path
    random: Random
    setenv: Callable[[str, str], None]
    texts: int = 0
    weights: int = 0
    shown: dict[str, set[tuple[str, object]]] = field(default_factory=dict)
    is_remade: bool = False
    calls: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)

    # What belongs to the lake's life.

    def train(self) -> None:
        """A champion of other weights, as distill_students leaves one."""
        self.weights += 1
        folder = self.folder / f"student {self.weights}"
        self.scorer = scoring_lake.champion(self.lake, self.settings, folder, linear(self.weights))

    def add_documents(self) -> None:
        self._append([f"doc {self.texts + i}" for i in range(3)])

    def _append(self, ids: list[str]) -> None:
        self.lake.append_rows([self._document(doc_id) for doc_id in ids], "documents", "r")

    def _document(self, doc_id: str) -> dict[str, object]:
        self.texts += 1
        text = f"text {self.texts} of some, with words like {self.texts % 7}"
        place = zlib.crc32(doc_id.encode())
        document = scoring_lake.document(doc_id, text)
        return document | {"source": SOURCES[place % 2], "bucket": place % 8,
                           "n_tokens": 10 + zlib.crc32(text.encode()) % 90}  # fmt: skip

    def change_documents(self) -> None:
        rows = [self._document(doc_id) for doc_id in self.random.sample(self.ids(), 2)]
        self.lake.upsert(self.lake.frame(rows, "documents"), "documents", "doc_id")

    def ids(self) -> list[str]:
        return sorted(r["doc_id"] for r in self.lake.read("documents").select("doc_id").collect())

    def ask(self) -> None:
        """Calls of a judge whose driver may end before it hears of their commit."""
        key = f"call {len(self.calls)}"
        if self.random.random() < 0.5:
            self.setenv(VARIABLE, "judge_calls.appended=raise")
        try:
            with Journal(self._journal, into(self.lake)) as journal:
                all_at_once(journal.record, [row(key)])
                self.calls.append(key)
        except DrillError:
            shutil.copy(self._journal, f"{self._journal}.copy")
        self.setenv(VARIABLE, "")

    @property
    def _journal(self) -> Path:
        return self.folder / "judge.sqlite"

    # What other hands and time do.

    def put_back_the_journal(self) -> None:
        copy = Path(f"{self._journal}.copy")
        if copy.exists():
            shutil.copy(copy, self._journal)

    def end_unheard(self) -> None:
        """A commit of scores or of a histogram arrives, and its driver never hears of it."""
        self.add_documents()
        self.setenv(VARIABLE, self.random.choice(("scores", "score_histogram")) + ".appended=raise")
        with contextlib.suppress(DrillError, MiraError):  # what is refused the next run mends
            self._perform()
        self.setenv(VARIABLE, "")
        self.shown.clear()

    def clean_history(self) -> None:
        """What Delta's clean-up does once the log is older than its retention."""
        for table in ("documents", "scores"):
            log = self._table_folder(table) / "_delta_log"
            checkpoints = [int(p.name[:20]) for p in log.glob("*.checkpoint*.parquet")]
            for commit in log.glob("*.json"):
                if int(commit.name[:20]) < max(checkpoints, default=0):
                    commit.unlink()

    def _table_folder(self, table: str) -> Path:
        location = self.lake.spark.sql(f"DESCRIBE DETAIL {self.lake.name(table)}")
        return Path(str(location.collect()[0]["location"]).removeprefix("file:"))

    def overwrite_documents(self) -> None:
        """With some of them, a few in other words."""
        gone, changed = self.random.sample(self.ids(), 2)
        self._sql(
            "INSERT OVERWRITE {documents} BY NAME SELECT * EXCEPT (text, content_hash), "
            f"if(doc_id = '{changed}', 'other words', text) AS text, if(doc_id = '{changed}', "
            "unhex(left(sha2('other words', 256), 32)), content_hash) AS content_hash "
            f"FROM {{documents}} WHERE doc_id <> '{gone}'"
        )
        self._refill()

    def delete_documents(self) -> None:
        self._sql(f"DELETE FROM {{documents}} WHERE doc_id = '{self.random.choice(self.ids())}'")
        self._refill()

    def overwrite_scores(self) -> None:
        """With some of them, some twice, or those of a version before."""
        version = self.random.randint(0, self.lake.version("scores"))
        rows = self.random.choice((
            "SELECT * FROM {scores} WHERE bucket < 4",
            "SELECT * FROM {scores} UNION ALL SELECT * FROM {scores} WHERE bucket < 4",
            f"SELECT * FROM {{scores}} VERSION AS OF {version}",
        ))  # fmt: skip
        self._sql(f"INSERT OVERWRITE {{scores}} {rows}")

    def insert_scores(self) -> None:
        self._sql("INSERT INTO {scores} SELECT * FROM {scores} WHERE bucket < 2")

    def delete_scores(self) -> None:
        self._sql("DELETE FROM {scores} WHERE bucket = 3")

    def restore(self) -> None:
        table = self.random.choice((*TABLES, "selection_cutoffs"))
        self.is_remade |= table == "selection_cutoffs"  # the views read it as it is
        version = self.random.randint(0, self.lake.version(table))
        self._sql(f"RESTORE TABLE {{{table}}} TO VERSION AS OF {version}")
        self._refill()

    def double_the_histogram(self) -> None:
        self._sql("INSERT INTO {score_histogram} SELECT * FROM {score_histogram}")

    def empty(self) -> None:
        table = self.random.choice(("selection_cutoffs", "score_histogram", "score_checks", "runs"))
        self.is_remade |= table == "selection_cutoffs"
        self._sql(f"TRUNCATE TABLE {{{table}}}")

    def drop_a_table(self) -> None:
        table = self.random.choice(("scores", "documents", "score_histogram", "selections"))
        self._sql(f"DROP TABLE {{{table}}}")
        create_tables(self.lake)  # as every command does first
        if table == "documents":
            for _ in range(self.random.randint(1, 6)):
                self.add_documents()
        self._refill()

    def remake_by_hand(self) -> None:
        """A table of the same name, columns and many versions, made by others from some rows."""
        table = self.random.choice(("scores", "documents"))
        self._sql(f"CREATE TABLE {{copy}} USING delta AS SELECT * FROM {{{table}}} "
                  "WHERE bucket < 6")  # fmt: skip
        self._sql(f"DROP TABLE {{{table}}}")
        self._sql(f"ALTER TABLE {{copy}} RENAME TO {{{table}}}")
        for _ in range(self.random.randint(0, 12)):
            self._sql(f"ALTER TABLE {{{table}}} SET TBLPROPERTIES ('by' = 'hand')")
        self.is_remade = True
        self._refill()

    def empty_the_registry(self) -> None:
        client, name = (
            mlflow_runs.client(self.settings.student_registry),
            registry.model_name(self.settings.student_registry, "group_a"),
        )
        if client.search_registered_models(f"name = '{name}'"):
            client.delete_registered_model(name)

    def move_the_clock(self) -> None:
        """What was written was written by a clock that was ahead, or behind."""
        days = self.random.choice((-1, 1))
        times = {"runs": ("started_at", "finished_at"), "selections": ("created_at",),
                 "score_checks": ("checked_at",), "scores": ("scored_at",),
                 "leases": ("heartbeat_at",)}  # fmt: skip
        table = self.random.choice(sorted(times))
        moved = ", ".join(f"{c} = {c} + INTERVAL {days} DAYS" for c in times[table])
        self._sql(f"UPDATE {{{table}}} SET {moved}")

    def _refill(self) -> None:
        """Enough documents to select from."""
        while self.lake.read("documents").count() < 8:
            self.add_documents()

    def _sql(self, statement: str) -> None:
        """Other hands' statement; what cannot be done any more is not done."""
        tables = (*TABLES, "selection_cutoffs", "runs", "leases", "copy")
        names = {table: self.lake.name(table) for table in tables}
        try:
            self.lake.spark.sql(statement.format(**names))
        except PySparkException as error:
            if not re.search("(?i)version|recreat|restor", str(error)):
                raise

    # What must be so.

    def check_shown(self) -> None:
        """A view shows what it showed when it was made, or cannot be read. A table that was made
        anew by hand is met by the next command that runs steps."""
        if self.is_remade:
            return
        for view, rows in self.shown.items():
            try:
                assert self._rows(view) == rows, view
            except PySparkException:  # it can be read no more
                continue

    def _rows(self, view: str) -> set[tuple[str, object]]:
        what = "quality" if view == "scored_documents" else "text"
        rows = [(r["doc_id"], r[what]) for r in self.lake.read(view).collect()]
        assert len(rows) == len(set(rows)), f"{view} shows a document twice"
        return set(rows)

    def run(self) -> None:
        """`mira run`, and the commands that its refusals name; then all views are right."""
        for _ in range(5):
            try:
                self._perform()
                break
            except MiraError as error:
                self._mend(error)
        else:
            raise AssertionError("a dead end")
        self.is_remade = False
        self._check_right()

    def _perform(self) -> None:
        with console.capture():
            pipeline.perform(self.lake, self.settings, f"run {self.texts}", STEPS)

    def _mend(self, error: MiraError) -> None:
        if statement := STATEMENT.search(str(error)):  # a table made by hand has Delta's retention
            self.mended.append("ALTER TABLE")
            self.lake.spark.sql(statement[0])
            return
        named = COMMAND.findall(str(error))
        assert named, f"no command is named: {error}"
        self.mended.append(named[0])
        commands: Mapping[str, Callable[[], object]] = {
            "mira scores repair": lambda: repair.repair(self.lake, "repair"),
            "mira distill-students": self.train,
        }
        commands[named[0]]()

    def _check_right(self) -> None:
        documents = self.lake.read("documents").withColumn("tie_hash", order.tie_hash(0))
        rows = {r["doc_id"]: r for r in documents.collect()}
        qualities = self._qualities(rows)
        competing = [
            Document(i, r["source"], qualities[i], r["tie_hash"], r["n_tokens"])
            for i, r in rows.items()
        ]
        budget = sum(d.tokens for d in competing) * SHARE // 100
        wanted = kept(competing, budget, rule(competing, "group", {}, {},
                                              dict.fromkeys(SOURCES, "group_a")))  # fmt: skip
        self.shown = {view: self._rows(view) for view in SHOWN}
        assert self.shown["scored_documents"] == set(qualities.items())
        chosen = {(i, rows[i]["text"]) for i in wanted}
        assert self.shown["selected"] == chosen == self.shown["selected_default"]
        one = record.selection_named(self.lake, "default")
        assert one.selected_documents == len(wanted)
        assert lost_versions.lost_versions(self.lake, [one]) == {}
        with Journal(self._journal, into(self.lake)):
            assert sorted(called(self.lake)) == sorted(self.calls)

    def _qualities(self, rows: Mapping[str, object]) -> dict[str, int]:
        """By the student itself, without Spark."""
        found = {}
        for source in SOURCES:
            ids = [i for i, r in rows.items() if r["source"] == source]
            for out in scored(self.scorer, batch([rows[i]["text"] for i in ids], source)):
                reasons = set(out.column("reason").to_pylist())
                assert reasons == {None}, reasons
                found |= dict(zip(ids, out.column("quality").to_pylist(), strict=True))
        return found


AGES = (
    Lake.put_back_the_journal, Lake.end_unheard, Lake.clean_history, Lake.overwrite_documents,
    Lake.delete_documents, Lake.overwrite_scores, Lake.insert_scores, Lake.delete_scores,
    Lake.restore, Lake.restore, Lake.double_the_histogram, Lake.empty, Lake.drop_a_table,
    Lake.remake_by_hand, Lake.empty_the_registry, Lake.move_the_clock,
)  # fmt: skip
LIVES = (Lake.add_documents, Lake.change_documents, Lake.ask, Lake.train)


def prepared(
    lake: Lakehouse, home: Path, folder: Path, seed: int, setenv: Callable[[str, str], None]
) -> Lake:
    """A lake whose documents are scored and selected from."""
    create_tables(lake)
    chosen = {
        "namespace": lake.namespace,
        "folder": folder,
        "registry.tracking_uri": f"sqlite:///{home}/mlflow.db",
        "registry.prefix": lake.namespace,
        "selection.budget": f"{SHARE}%",
    }
    settings = load(None, [f"{key}={value}" for key, value in chosen.items()])
    rows = [
        {"grouping_id": grouping.grouping_id(settings.grouping), "source": source,
         "source_group": "group_a", "embedding": [1.0], "documents": 1, "tokens": 1, "sampled": 1,
         "created_at": NOW}
        for source in SOURCES
    ]  # fmt: skip
    lake.append_rows(rows, "source_groups", "r")
    for table in ("documents", "scores"):  # so that there is a history to clean
        lake.set_properties(table, {"delta.checkpointInterval": "3"})
    made = Lake(lake, settings, folder, Random(seed), setenv)
    made.train()
    for _ in range(4):
        made.add_documents()
    made.run()
    return made


def live(one: Lake) -> list[str]:
    """A random order of what ages a lake and of what it lives on, with runs between; what was
    done."""
    done: list[str] = []
    try:
        for _ in range(one.random.randint(2, 4)):
            change = one.random.choice(AGES if one.random.random() < 0.7 else LIVES)
            done.append(change.__name__)
            change(one)
            one.check_shown()
            if one.random.random() < 0.25:
                done.append("run")
                one.run()
        done.append("run")
        one.run()
    except BaseException as error:
        error.add_note(f"the order was {', '.join(done)}")
        raise
    return done
