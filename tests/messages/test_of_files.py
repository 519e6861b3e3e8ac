"""Files, options and machines that cannot be used: what is said of them, word for word."""

from pathlib import Path

import pytest

from mira_spark.cli import init_file, main, options
from mira_spark.corpus import first_look, model_files, tokens
from mira_spark.distillation import memory
from mira_spark.lake import session, single_writer
from mira_spark.rubrics import rubric_file
from mira_spark.settings import emr, root
from tests.messages.saying import Case, message, written

CORPUS = b"corpus: {input: python_environment}\n"
EMR = b"""\
on: ec2
region: eu-west-1
uploads: s3://lake/uploads
logs: s3://lake/logs
warehouse: s3://lake/warehouse
settings: mira.yaml
"""
RUBRIC = """\
rubrics:
- group: group_a
  dimensions:
  - name: clarity
    definition: How clear it is, of three.
"""
GIVEN = dict.fromkeys(("text", "messages", "doc_id", "source"))


def mira(*arguments: str) -> object:
    return main.app(args=list(arguments), prog_name="mira", standalone_mode=False)


def folder(name: str) -> str:
    return str(Path(written(f"{name}/config.json", b"{}")).parent)


FILES: dict[str, Case] = {
    "settings that are not there": (
        lambda: root.load("none.yaml"),
        "none.yaml: cannot be read: No such file or directory",
    ),
    "settings in a folder": (
        lambda: root.load("."),
        ".: cannot be read: Is a directory",
    ),
    "settings in another encoding": (
        lambda: root.load(written("a.yaml", b"namespace: caf\xe9")),
        "a.yaml: is not UTF-8: unexpected end of data; save it as UTF-8",
    ),
    "settings that are a list": (
        lambda: root.load(written("a.yaml", b"- a")),
        "a.yaml: should hold sections of settings, found ['a']",
    ),
    "settings that are no YAML": (
        lambda: root.load(written("a.yaml", b"corpus:\n\tinput: csv")),
        "a.yaml: line 2: is not YAML: found character '\\t' that cannot start any token",
    ),
    "settings that say a thing twice": (
        lambda: root.load(written("a.yaml", CORPUS + b"selection: {}\nselection: {}")),
        "a.yaml: line 3: selection comes twice",
    ),
    "settings without a corpus": (
        lambda: root.load(written("a.yaml", b"selection: {}")),
        "a.yaml: corpus.input: is missing; it should be one of python_environment, "
        "parquet, json, csv, text, delta, table, messages, or corpus.inputs a list of "
        "several; mira init FILES writes a file that has it",
    ),
    "settings of EMR that are a list": (
        lambda: emr.load(Path(written("a.yaml", b"- a"))),
        "a.yaml: should hold settings as conf/emr/cluster.yaml does",
    ),
    "settings of EMR without a place": (
        lambda: emr.load(Path(written("a.yaml", EMR))),
        "a.yaml: ec2: is missing, for on is ec2",
    ),
    "settings of EMR with a wrong region": (
        lambda: emr.load(Path(written("a.yaml", EMR + b"ec2: {cluster: j-1}\nregion: Europe"))),
        "a.yaml: line 8: region comes twice\n"
        "a.yaml: region: should be a region, e.g. eu-west-1, found 'Europe'",
    ),
    "settings of EMR with a misspelt name": (
        lambda: emr.load(Path(written("a.yaml", EMR + b"ec2: {cluster: j-1}\nregoin: a"))),
        "a.yaml: regoin is not a setting; did you mean region? Known: arguments, driver, "
        "ec2, eks, environment, executors, gpu_discovery, logs, on, package, program, "
        "region, serverless, settings, spark_conf, uploads, warehouse",
    ),
    "rubrics that are a list": (
        lambda: rubric_file.from_yaml("- a"),
        "rubrics: should hold the key rubrics and below it a list of groups",
    ),
    "rubrics without dimensions": (
        lambda: rubric_file.from_yaml("rubrics:\n- group: a"),
        "line 2: dimensions: is missing",
    ),
    "rubrics with too few dimensions": (
        lambda: rubric_file.from_yaml(RUBRIC),
        "line 3: the group has 1 dimensions, expected 3 to 15",
    ),
    "rubrics with a wrong weight": (
        lambda: rubric_file.from_yaml(RUBRIC.replace("three.", "three.\n    weight: heavy")),
        "line 3: the group has 1 dimensions, expected 3 to 15\n"
        "line 6: weight: should be a number, found 'heavy'",
    ),
    "a tokenizer that is not there": (
        lambda: tokens.tokenizer("none.json"),
        "corpus.tokenizer: none.json should be bytes4 or a tokenizer.json: [Errno 2] No "
        "such file or directory: 'none.json'",
    ),
    "a model without weights": (
        lambda: model_files.model_folder(folder("model"), "embedder.model", "an encoder"),
        "embedder.model: model holds no tokenizer.json, no *.safetensors; it should be the "
        "folder of an encoder, or a hub id",
    ),
    "a corpus that is not there": (
        lambda: first_look.look("none"),
        "none: there are no files; name a file, or a folder of files",
    ),
    "a corpus that is no JSON": (
        lambda: first_look.look(written("a.json", b"words")),
        "a.json: the first files have no rows that can be read as json; name others",
    ),
    "a corpus of Parquet under another name": (
        lambda: first_look.look(written("a.jsonl", b"PAR1 and more")),
        "a.jsonl: cannot be read as json: holds Parquet, not json",
    ),
    "columns of a corpus that hold no text": (
        lambda: init_file.mapping(
            first_look.look(written("a.jsonl", b'{"n": 1}')), GIVEN, "a.jsonl", None
        ),
        "no column looks like a text or a conversation: name it with --text or --messages; "
        "there are n",
    ),
    "a column that the corpus does not have": (
        lambda: init_file.mapping(
            first_look.look(written("a.jsonl", b'{"n": 1}')),
            GIVEN | {"text": "body"},
            "a.jsonl",
            None,
        ),
        "there is no column body; there are n",
    ),
    "a statement's file that is not there": (
        lambda: options.read_text(Path("none.sql")),
        "none.sql: cannot be read: No such file or directory",
    ),
    "a statement's file in another encoding": (
        lambda: options.read_text(Path(written("a.sql", b"\xe9"))),
        "a.sql: is not UTF-8: unexpected end of data; save it as UTF-8",
    ),
    "a folder that is no folder and no URI": (
        lambda: options.root_option("dbfs:/x"),
        "Invalid value: should be a path, or a URI of s3, s3a, gs, abfs, abfss, hdfs, "
        "found 'dbfs:/x'",
    ),
    "a model that needs more memory than there is": (
        lambda: memory.require_memory(
            8 * 10**9, "the model m", Path(written("meminfo", b"MemAvailable: 1000000 kB"))
        ),
        "the model m needs about 8.0 GB of memory, 1.0 GB are available: choose a smaller "
        "one, or a larger driver",
    ),
    "an old Spark": (
        lambda: session.check_version("3.5.1"),
        "Spark 3.5.1 is too old: 4.0 or later is needed, as in Databricks Runtime 17.3 or "
        "emr-spark-8.0",
    ),
    "tables on S3 that several may write": (
        lambda: single_writer.check_place("mira", "s3://lake/tables", {}.get),
        "single_writer: mira lies on s3://lake/tables, where Delta keeps the commits of "
        "two drivers apart only with a log store in DynamoDB: set single_writer: true and "
        "let one driver at a time write these tables, or "
        "spark.delta.logStore.s3.impl=io.delta.storage.S3DynamoDBLogStore on every one "
        "that does",
    ),
    "a plan of a corpus that is half said": (
        lambda: mira("plan", "--documents", "1"),
        "a corpus that is not taken in needs --tokens, --bytes, --sources, too",
    ),
    "a plan of more sources than documents": (
        lambda: mira("plan", "--documents", "1", "--tokens", "9", "--bytes", "9", "--sources", "2"),
        "--sources: 2 are more than --documents, 1",
    ),
    "a run whose name is none": (
        lambda: mira("run", "--run-id", "Run 1"),
        "Invalid value for '--run-id': should be 1 to 64 of a to z, 0 to 9 and _, found 'Run 1'",
    ),
    "an ending that there is none of": (
        lambda: mira("run", "--accept", "failed"),
        "Invalid value for '--accept': should be of degraded, stopped, found 'failed'",
    ),
    "a run without a corpus": (
        lambda: mira("run"),
        "corpus.input: is missing; it should be one of python_environment, parquet, json, "
        "csv, text, delta, table, messages, or corpus.inputs a list of several; mira init "
        "FILES writes a file that has it",
    ),
    "a statement that is not given": (
        lambda: mira("sql"),
        "Invalid value: a statement is asked for, as an argument or with --file",
    ),
    "rows in two forms at once": (
        lambda: mira("sql", "select 1", "--json", "--csv"),
        "Invalid value: one of --vertical, --json and --csv",
    ),
    "settings that mira init would write over": (
        lambda: mira("init", written("a.jsonl", b"{}"), "--out", written("a.yaml", b"")),
        "a.yaml is there already: name another file with --out",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_said_is_what_is_written_here(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, words = FILES[what]
    assert message(call) == words
