"""Settings are checked whole: every problem at once, with what was found and what is right."""

import re
import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings as hypothesis, strategies as st
from pydantic import BaseModel

from mira_spark.cli import main
from mira_spark.errors import ConfigError
from mira_spark.lake.schemas import TABLES
from mira_spark.settings.root import Settings, load
from tests import hostile_strings

CONF = Path(__file__).parents[2] / "conf"
SECTIONS = (
    "baselines, corpus, discovery, distillation, driver_folder, duplicates, embedder, evaluation, "
    "folder, gate, grouping, judge, "
    "labelling, local_cores, local_memory, namespace, plan, quality, registry, report, scoring, "
    "selection, session, single_writer"
)
CORPUS = "corpus: {input: python_environment}\n"
PLAIN = Settings.model_validate({"corpus": {"input": "python_environment"}})
UNREADABLE = "should be a number of tokens, e.g. 25_000_000_000, or e.g. 40%"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mira.yaml"


def loaded(file: Path, text: str, *overrides: str) -> Settings:
    file.write_text(with_corpus(text), encoding="utf-8")
    return load(file, overrides)


def with_corpus(text: str) -> str:
    """The text with the section that every file needs, where it has none."""
    return text if "corpus:" in text else f"{text}\n{CORPUS}"


def refusal(path: Path | None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value).replace(str(path), "F")


def refusal_of(file: Path, text: str, *overrides: str) -> str:
    file.write_text(with_corpus(text), encoding="utf-8")
    return refusal(file, *overrides)


def leaves(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Dotted key to value; an empty mapping is a value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


DEFAULTS = leaves(Settings().model_dump(mode="json"))


def test_without_a_file_and_with_an_empty_one_all_is_default(file: Path) -> None:
    assert load() == Settings()
    assert loaded(file, "") == loaded(file, "# nothing\n") == PLAIN


def test_every_problem_of_file_and_overrides_is_reported_at_once(file: Path) -> None:
    text = """
        namspace: x
        zzz: 1
        selection: {bugdet: 1, seed: x}
        corpus: {input: csv, columns: {txt: a}}
        judge: {window_tokens: 3}
        """
    found = refusal_of(file, text, "labelling.repeat_share=2", "discovery.dimension=12")
    known_discovery = (
        "candidates, dimensions, documents_per_domain, documents_per_group, pilot_documents, "
        "require_approval, same_above, seed, selection"
    )
    assert sorted(found.splitlines()) == sorted(
        [
            f"F: namspace is not a setting; did you mean namespace? Known: {SECTIONS}",
            f"F: zzz is not a setting. Known: {SECTIONS}",
            "F: selection.bugdet is not a setting; did you mean selection.budget? "
            "Known: budget, caps, contaminated, duplicates, every_source, exclude, floors, "
            "keep_days, materialize, max_document_share, name, policy, score, seed, shares, "
            "temperature, where",
            "F: selection.seed: should be a whole number, found 'x'",
            "F: corpus.columns.txt is not a setting; did you mean corpus.columns.text? "
            "Known: doc_id, domain, license, messages, sendable, source, text",
            "F: judge.window_tokens: should be at least 16, found 3",
            "F: labelling.repeat_share: should be at most 1, found 2",
            "F: discovery.dimension is not a setting; did you mean discovery.dimensions? "
            f"Known: {known_discovery}",
        ]
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("local_cores: 0", "local_cores: should be at least 1, found 0"),
        ("local_memory: 4", "local_memory: should be a text, found 4"),
        (
            "local_memory: 4 GB",
            "local_memory: should be a whole number and g or m, e.g. 4g, found '4 GB'",
        ),
        ("session: Local", "session: should be 'local' or 'platform', found 'Local'"),
        (
            "grouping: {documents_per_source: 2.5}",
            "grouping.documents_per_source: should be a whole number, found 2.5",
        ),
        (
            "grouping: {mapping: {a: 3}}",
            "grouping.mapping.a: should be a text, found 3",
        ),
        (
            "scoring: {max_quarantined: .nan}",
            "scoring.max_quarantined: should be at most 1, found nan",
        ),
        (
            "discovery: {dimensions: 16}",
            "discovery.dimensions: should be at most 15, found 16",
        ),
        (
            "selection: 3",
            "selection: should be a mapping of keys to values, found 3",
        ),
        (
            "selection: {name: No-1}",
            "selection.name: should be 1 to 64 of a to z, 0 to 9 and _, found 'No-1'",
        ),
        ("1: 2", f"1 is not a setting. Known: {SECTIONS}"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_found(file: Path, text: str, problem: str) -> None:
    assert refusal_of(file, text) == f"F: {problem}"


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ("0", "should be more than 0, found 0"),
        ("0%", "should be more than 0, found '0%'"),
        ("0.00%", "should be more than 0, found '0.00%'"),
        ("'0_0'", "should be more than 0, found '0_0'"),
        ("-5", f"{UNREADABLE}, found -5"),
        ("-5%", f"{UNREADABLE}, found '-5%'"),
        ("101%", "should be at most 100%, found '101%'"),
        ("100.0001%", "should be at most 100%, found '100.0001%'"),
        ("abc", f"{UNREADABLE}, found 'abc'"),
        ("0.4", f"{UNREADABLE}, found 0.4"),
        ("1e9", f"{UNREADABLE}, found '1e9'"),
        ("'25,000'", f"{UNREADABLE}, found '25,000'"),
        ("40 %", f"{UNREADABLE}, found '40 %'"),
        ("''", f"{UNREADABLE}, found ''"),
        ("null", "should be a text, found None"),
        ("true", "should be a text, found True"),
    ],
)
def test_an_impossible_budget_is_refused(file: Path, budget: str, problem: str) -> None:
    text = f"selection: {{budget: {budget}}}"
    assert refusal_of(file, text) == f"F: selection.budget: {problem}"


@pytest.mark.parametrize(
    ("budget", "read"),
    [
        ("40%", "40%"),
        ("'40%'", "40%"),
        ("33.3%", "33.3%"),
        ("100%", "100%"),
        ("25_000_000_000", "25000000000"),
        ("'25_000_000_000'", "25_000_000_000"),
        ("1000", "1000"),
        ("'1000'", "1000"),
    ],
)
def test_a_budget_is_tokens_or_per_cent(file: Path, budget: str, read: str) -> None:
    assert loaded(file, f"selection: {{budget: {budget}}}").selection.budget == read
    assert load(None, [f"selection.budget={budget}"]).selection.budget == read


def test_overrides_are_set_on_top_of_the_file(file: Path) -> None:
    text = (
        "namespace: a.b\nselection: {budget: 10%, seed: 3}\n"
        "corpus: {input: csv, columns: {text: body}}"
    )
    overrides = (
        "selection.budget = 1000",
        "corpus.columns.doc_id=id",
        "corpus.path=s3://bucket/a=b",
        "grouping.groups=4",
        "grouping.groups=null",
        "grouping.mapping={x: group_a}",
    )
    found = loaded(file, text, *overrides)
    assert found == Settings.model_validate(
        {
            "namespace": "a.b",
            "selection": {"budget": "1000", "seed": 3},
            "corpus": {
                "input": "csv",
                "columns": {"text": "body", "doc_id": "id"},
                "path": "s3://bucket/a=b",
            },
            "grouping": {"groups": None, "mapping": {"x": "group_a"}},
        }
    )


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "selection.budget",
            "--set selection.budget: should be key=value, e.g. selection.budget=30%",
        ),
        (
            "selection.budget.x=1",
            "--set selection.budget.x: budget is a value, not a section",
        ),
        ("namespace.x=1", "--set namespace.x: namespace is a value, not a section"),
        ("=3", "--set =3: should be key=value, e.g. selection.budget=30%"),
        (
            "selection..budget=3",
            "--set selection..budget=3: should be key=value, e.g. selection.budget=30%",
        ),
    ],
)
def test_a_wrong_override_is_named(file: Path, override: str, problem: str) -> None:
    text = "namespace: a\nselection: {budget: 10%}"
    assert refusal_of(file, text, override) == problem


def test_an_override_that_is_not_yaml_is_refused() -> None:
    found = refusal(None, "selection.budget=[")
    assert found == (
        "--set selection.budget: line 1: is not YAML: expected the node content, but found "
        "'<stream end>'"
    )


def test_problems_of_overrides_alone_name_the_settings() -> None:
    assert refusal(None, "local_cores=0") == (
        "settings: local_cores: should be at least 1, found 0"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == "F: cannot be read: No such file or directory"
    assert refusal(tmp_path) == "F: cannot be read: Is a directory"


def test_a_file_that_is_not_utf_8_is_refused(file: Path) -> None:
    file.write_bytes(b"namespace: caf\xe9\n")
    assert refusal(file).startswith("F: ")


def test_a_file_that_is_not_yaml_is_refused_with_the_place(file: Path) -> None:
    file.write_text("corpus:\n  input: csv\nnamespace: [\n")
    assert refusal(file) == (
        "F: line 4: is not YAML: expected the node content, but found '<stream end>'"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("- a\n", "['a']"), ("just text", "'just text'"), ("5", "5"), ("x" * 99, "'" + "x" * 59)],
)
def test_a_file_without_sections_is_refused(file: Path, text: str, shown: str) -> None:
    file.write_text(text)
    assert refusal(file) == f"F: should hold sections of settings, found {shown}"


@pytest.mark.parametrize("name", ["mira", "a.b", "_x", "Main.mira_2", "a" * 128])
def test_a_namespace_is_a_schema_or_catalog_and_schema(name: str) -> None:
    assert Settings(namespace=name).namespace == name


@pytest.mark.parametrize(
    "name",
    ["a; drop", "a.b.c", "a`", "`a`", "a\n", "a\nb", "", "1a", "é", "a..b", ".a", "a.", "a b",
     "a--", "a'b", 'a"b', "a/*b*/", "a" * 129],
)  # fmt: skip
def test_a_namespace_that_could_be_more_than_a_name_is_refused(file: Path, name: str) -> None:
    text = yaml.safe_dump({"namespace": name})
    assert refusal_of(file, text) == (
        "F: namespace: should be a schema, or catalog.schema, of letters, digits and _, found "
        f"{name!r}"
    )


@pytest.mark.parametrize("kind", ["parquet", "json", "csv", "text", "delta", "table"])
def test_a_corpus_of_files_or_a_table_needs_its_path(file: Path, kind: str) -> None:
    assert refusal_of(file, f"corpus: {{input: {kind}}}") == (
        f"F: corpus.path: is needed with input: {kind}, files or a table's name"
    )
    assert loaded(file, f"corpus: {{input: {kind}, path: a.b}}").corpus.path == "a.b"


def test_a_corpus_needs_a_source(file: Path) -> None:
    assert refusal_of(file, "corpus: {input: delta, path: p, columns: {source: null}}") == (
        "F: corpus.source: is needed, a constant; or columns.source, a column"
    )
    assert loaded(file, "corpus: {input: python_environment, source: web}").corpus.source == "web"


WEB = "{name: web, format: json, path: p}"


@pytest.mark.parametrize(
    ("corpus", "problem"),
    [
        (f"inputs: [{WEB}, {WEB}]", "corpus.inputs: web is the name of more than one; use others"),
        (f"inputs: [{WEB}], input: csv, path: p",
         "corpus.inputs: leave input, path and source out beside it: each has its own"),
        (f"inputs: [{WEB}], columns: {{doc_id: id}}",
         "corpus.columns: leave them out beside inputs: each has its own"),
        ("inputs: [{name: web, format: messages, path: p, columns: {text: body}}]",
         "corpus.inputs.0.columns.messages: is needed for conversations; or read them as json"),
        ("input: messages, path: p, columns: {text: body}",
         "corpus.columns.messages: is needed for conversations; or read them as json"),
        ("inputs: [{name: web, format: json, path: p, columns: {text: a, messages: b}}]",
         "corpus.inputs.0.columns.text: is named beside messages: set one of them to null"),
        ("inputs: [{name: web, format: json, path: p, columns: {text: null}}]",
         "corpus.inputs.0.columns.text: is needed, a column of texts; or messages, of "
         "conversations"),
        ("inputs: [{name: web, format: json, path: p, encoding: klingon}]",
         "corpus.inputs.0.encoding: should be an encoding that Python knows, as utf-8 or cp1252, "
         "found 'klingon'"),
        ("inputs: [{name: web, format: json, path: p, columns: {source: null}}]",
         "corpus.inputs.0.source: is needed, a constant; or columns.source, a column"),
        ("inputs: [{name: web, format: table, path: 'a.b.c.d'}]",
         "corpus.inputs.0.path: should be a table's name: table, schema.table or with a "
         "catalog, found 'a.b.c.d'"),
        ("inputs: [{name: web, format: json, path: p, cap: 0}]",
         "corpus.inputs.0.cap: should be at least 1, found 0"),
        ("inputs: [{name: web, format: csv, path: p, csv: {quote: ab}}]",
         "corpus.inputs.0.csv.quote: should be one character, no line break, found 'ab'"),
    ],
)  # fmt: skip
def test_inputs_that_contradict_each_other_are_refused(
    file: Path, corpus: str, problem: str
) -> None:
    assert refusal_of(file, f"corpus: {{{corpus}}}") == f"F: {problem}"


def test_conversations_stand_in_the_place_of_texts(file: Path) -> None:
    chat = "{name: chat, format: messages, path: p}"
    talk = "{name: talk, format: parquet, path: p, columns: {messages: turns}}"
    corpus = loaded(file, f"corpus: {{inputs: [{chat}, {talk}], keep_messages: column}}").corpus
    columns = [each.columns for each in corpus.inputs]
    assert [(each.text, each.messages) for each in columns] == [(None, "messages"), (None, "turns")]
    assert [each.file_format for each in corpus.inputs] == ["json", "parquet"]
    single = loaded(file, "corpus: {input: messages, path: p, columns: {doc_id: id}}").corpus
    assert (single.columns.text, single.columns.messages) == (None, "messages")


@pytest.mark.parametrize("name", ["a-b.c d", "`a.b`.c", "cat.my-schema.t", "été.t"])
def test_tables_have_any_name(file: Path, name: str) -> None:
    text = yaml.safe_dump({"corpus": {"input": "table", "path": name}})
    assert loaded(file, text).corpus.path == name


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().namespace = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    ["namespace=other", "selection.budget=30%", "selection.seed=1", "labelling.seed=1",
     "corpus.columns.text=body", "local_cores=3"],
)  # fmt: skip
def test_a_digest_changes_with_its_own_sections_alone(change: str) -> None:
    before, after = Settings(), load(None, [change])
    section = change.partition("=")[0].split(".")[0]
    for name in Settings.model_fields:
        assert (after.digest([name]) != before.digest([name])) == (name == section), name
    others = sorted(set(Settings.model_fields) - {section})
    assert after.digest(others) == before.digest(others)
    assert after.digest([*others, section]) != before.digest([*others, section])


def test_a_digest_does_not_depend_on_the_order_of_sections_and_tells_them_apart() -> None:
    settings = Settings()
    assert settings.digest(["judge", "corpus"]) == settings.digest(["corpus", "judge"])
    assert len({settings.digest([name]) for name in Settings.model_fields}) == len(
        Settings.model_fields
    )


def test_the_local_file_shows_every_setting_and_says_where_it_leaves_the_default() -> None:
    text = (CONF / "local.yaml").read_text(encoding="utf-8")
    shown = leaves(yaml.safe_load(text))
    assert list(shown) == list(DEFAULTS)
    assert isinstance(load(CONF / "local.yaml"), Settings)
    for key, value in shown.items():
        if value != DEFAULTS[key]:
            name = key.rpartition(".")[2]
            lines = [line for line in text.splitlines() if line.strip().startswith(f"{name}: ")]
            default = "none" if DEFAULTS[key] is None else f"{DEFAULTS[key]:_}"
            assert any(f"the default is {default}" in line for line in lines), key


def test_the_cluster_file_holds_only_what_differs_from_the_defaults() -> None:
    load(CONF / "cluster.yaml")
    shown = leaves(yaml.safe_load((CONF / "cluster.yaml").read_text(encoding="utf-8")))
    assert shown
    assert [key for key, value in shown.items() if value == DEFAULTS[key]] == []
    assert shown["session"] == "platform"


def test_a_key_put_where_it_does_not_belong_is_not_told_again() -> None:
    key = "sk-live-0123456789"
    for override in (f"judge.secret={key}", f"judge.labelling={key}", f"judge.api_key={key}"):
        with pytest.raises(ConfigError) as caught:
            load(None, [override])
        assert key not in "".join(traceback.format_exception(caught.value)), override


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("judge.labelling.modle=m", "judge.labelling.modle is not a setting; did you mean"),
        ("judge.prices.m.inptu=1", "judge.prices.m.inptu is not a setting; did you mean"),
        ("judge.budget.per_run.euro=1", "is not a setting. Known: tokens, usd"),
    ],
)
def test_an_unknown_key_is_named_however_deep(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(None, [override])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("registry.tracking_uri", "https://ada:hunter2-of-ada@mlflow.example/"),
        ("registry.tracking_uri", "postgresql://mira:p%40ss@db.example/mlflow"),
        ("registry.tracking_uri", "https://mlflow.example/?token=hunter2"),
        ("registry.experiment", "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket/students"),
        ("registry.experiment", "sk-proj-0123456789abcdefXYZ"),
        ("corpus.path", "jdbc:postgresql://db.example/corpus?user=mira&password=hunter2"),
        ("corpus.path", "https://store.example/c?sv=1&sig=abc%3D"),
        ("selection.where", "[{column: license, operator: in, value: [sk-0123456789abcdefXYZ]}]"),
        ("grouping.mapping", "{web: dapi0123456789abcdef0123456789ab}"),
    ],
)
def test_a_key_or_password_in_any_setting_is_refused_and_not_shown(key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, [f"{key}={value}"])
    told = "".join(traceback.format_exception(caught.value))
    assert "a key or password is never put into settings; set it in the environment" in told
    assert f"settings: {key}" in told
    for part in ("hunter2", "p%40ss", "AKIA", "wJalr", "sk-", "abc%3D", "dapi"):
        assert part not in told


@pytest.mark.parametrize(
    "value",
    ["https://mlflow.example/x", "postgresql://mira@db.example/mlflow", "databricks",
     "databricks://profile", "sqlite:////data/a:b@c/mlflow.db", "http://127.0.0.1:5000"],
)  # fmt: skip
def test_a_tracking_uri_without_a_password_is_taken(value: str) -> None:
    assert load(None, [f"registry.tracking_uri={value}"]).registry.tracking_uri == value


@pytest.mark.parametrize(
    "override",
    ["registry.prefix=sk-live-01", "distillation.served.secret=sk-live-01",
     "registry.tracking_uri=[https://ada:sk-live-01@mlflow.example]",
     "discovery.seed=sk-live-0123456789abcdef", "judge.secret=env:sk-live-01",
     "judge.secret=env:sk_live_01", "judge.labelling.secret=sk-live-01"],
)  # fmt: skip
def test_a_value_that_may_be_a_key_is_not_shown_where_it_is_wrong(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, [override])
    assert "live" not in "".join(traceback.format_exception(caught.value))


thorough = hypothesis(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SECTION_NAMES = [name for name, value in Settings() if isinstance(value, BaseModel)]
SECTION_NAMES.remove("corpus")


@thorough
@given(section=st.sampled_from(SECTION_NAMES), beside=st.sets(st.sampled_from(SECTION_NAMES)))
def test_an_empty_section_is_an_empty_section_in_a_file_and_with_set(
    file: Path, section: str, beside: set[str]
) -> None:
    text = "".join(f"{name}:\n" for name in sorted({section, *beside}))
    assert loaded(file, text) == PLAIN
    assert loaded(file, "judge: {window_tokens: 99}", f"{section}=", "judge=") == PLAIN
    assert loaded(file, "judge:\n", "judge.window_tokens=99").judge.window_tokens == 99


def test_a_section_in_a_section_and_a_mapping_may_be_empty(file: Path) -> None:
    text = "judge:\n  prices:\n  budget:\n    per_run:\ngrouping: {mapping: }\n"
    assert loaded(file, text) == PLAIN


@thorough
@given(section=st.sampled_from(["judge", "selection", "labelling"]), cap=st.integers(1, 10**6))
def test_a_second_section_of_the_same_name_is_refused(file: Path, section: str, cap: int) -> None:
    first = f"judge:\n  budget: {{per_run: {{usd: {cap}}}}}\n"
    text = f"{first}{section}: {{}}\njudge: {{reasks: 2}}\n"
    lines = refusal_of(file, text).splitlines()
    assert "F: line 4: judge comes twice" in lines
    inner = f"judge:\n  budget:\n    per_run: {{usd: {cap}}}\n    per_run: {{tokens: 1}}\n"
    assert refusal_of(file, inner) == "F: line 4: per_run comes twice"


SEEDS = ["grouping.seed", "discovery.seed", "labelling.seed", "selection.seed", "judge.seed",
         "distillation.encoder.seed", "distillation.generative.seed"]  # fmt: skip


@thorough
@given(key=st.sampled_from(SEEDS), seed=st.integers(-(2**70), 2**70))
def test_a_seed_is_a_signed_integer_of_64_bits(key: str, seed: int) -> None:
    if -(2**63) <= seed < 2**63:
        load(None, [f"{key}={seed}"])
    else:
        assert refusal(None, f"{key}={seed}") == f"settings: {key}: should fit in 64 bits"


@thorough
@given(
    key=st.sampled_from(["selection.budget", "selection.floors.a", "judge.budget.per_run.usd",
                         "selection.seed", "scoring.max_quarantined", "judge.timeout_s"]),
    digits=st.text("0123456789\uff11\uff12\u0663\u096a\u0e55", min_size=1, max_size=3),
)  # fmt: skip
def test_only_ascii_digits_are_digits(key: str, digits: str) -> None:
    if not digits.isascii():
        assert refusal(None, f"{key}='{digits}'").startswith(f"settings: {key}: ")
        assert refusal(None, f"{key}='0.{digits}%'").startswith(f"settings: {key}: ")


NAMED = {"selection.name": "selection.name", "grouping.mapping.web": "grouping.mapping.web",
         "registry.prefix": "registry.prefix"}  # fmt: skip


@thorough
@given(
    key=st.sampled_from(sorted(NAMED)),
    name=st.text("a9_/.\\'\"`; -A\n\x00\u00e9~$%", max_size=70)
    | st.sampled_from(hostile_strings.ALL),
)  # fmt: skip
def test_a_name_that_becomes_a_path_or_a_table_is_of_plain_characters(key: str, name: str) -> None:
    tree: dict[str, Any] = {}
    section, _, rest = key.partition(".")
    tree[section] = {"mapping": {"web": name}} if section == "grouping" else {rest: name}
    before = r"([a-z0-9_]{1,64}\.){0,2}" if section == "registry" else ""
    pattern = f"{before}[a-z0-9_]{{1,64}}"
    if re.fullmatch(pattern, name):
        Settings.model_validate(tree)
    else:
        with pytest.raises(ValueError, match=r"should be .* of a to z, 0 to 9 and _"):
            Settings.model_validate(tree)


@pytest.mark.parametrize("table", [t for t in TABLES if t.startswith("selected_")])
def test_no_selection_is_called_so_that_its_view_would_be_a_table_of_ours(table: str) -> None:
    name = table.removeprefix("selected_")
    assert refusal(None, f"selection.name={name}") == (
        f"settings: selection.name: {table} is a table of ours, not a view: use another name, "
        f"found {name!r}"
    )


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("distillation.kind=encoder",
         "distillation.encoder.model: is needed with kind: encoder, a folder or a hub id"),
        ("distillation.kind=generative",
         "distillation.generative.model: is needed with kind: generative, a folder or a hub id"),
        ("distillation={kind: served, served: {model: m, url: https://a/v1}}",
         "distillation.served.url: host a is not in hosts (none); list it if it is meant"),
        ("selection.floors={a: much}",
         "selection.floors.a: should be from 0 to 1, e.g. 0.05, 5% or 1/20, or of the source's own "
         "tokens, e.g. 5% of source, found 'much'"),
        ("selection.floors={a: 5% of b}",
         "selection.floors.a: should be from 0 to 1, e.g. 0.05, 5% or 1/20, or of the source's own "
         "tokens, e.g. 5% of source, found '5% of b'"),
        ("selection.every_source=5 % of source", "selection.every_source: should be from 0 to 1, "
         "e.g. 0.05, 5% or 1/20, found '5 % of source'"),
        ("selection.max_document_share=0.09%",
         "selection.max_document_share: should be from 0.1% to 100%, found '0.09%'"),
        ("selection.max_document_share=much",
         "selection.max_document_share: should be from 0.1% to 100%, found 'much'"),
        ("selection.temperature=0.0005", "selection.temperature: should have at most three "
         "decimals, e.g. 0.5, found 0.0005"),
        ("selection.temperature=-1", "selection.temperature: should be at least 0, found -1"),
        ("selection.temperature=11",
         "selection.temperature: should be at most 10, found 11"),
        ("selection.temperature=.nan",
         "selection.temperature: should be at most 10, found nan"),
        ("selection.caps={a: 2}",
         "selection.caps.a: should be from 0 to 1, e.g. 0.05, 5% or 1/20, found 2"),
        ("selection={floors: {a: 20%}, caps: {a: 10%}}",
         "selection.caps.a: 1/10 is below the source's floor, 1/5"),
        ("selection.floors={a: 60%, b: 60%}", "selection.floors: sum to 6/5, should be at most 1"),
        ("selection.shares={a: 1/2, b: 1/4}",
         "selection.shares: sum to 3/4, should be exactly 1"),
        ("selection.shares={a: x, b: 1}",
         "selection.shares.a: should be from 0 to 1, e.g. 0.05, 5% or 1/20"),
        ("selection.budget='9223372036854775808'",
         "selection.budget: should be at most 9,223,372,036,854,775,807 tokens, found "
         "'9223372036854775808'"),
        ("folder=s3://bucket/mira", "folder: s3://bucket/mira is for session: platform; a local "
         "session has its catalog in the folder, and needs a path of this machine"),
        ("folder=dbfs:/x", "folder: should be a path, or a URI of s3, s3a, gs, abfs, abfss, hdfs, "
         "found 'dbfs:/x'"),
        ("folder=s3://bucket//../x", "folder: should be a URI as s3://bucket/prefix, without // or "
         ".. in it, found 's3://bucket//../x'"),
        ("driver_folder=/mnt/mira", "driver_folder: is for session: platform; a local session has "
         "all in its folder"),
        ("driver_folder=s3://bucket/x", "driver_folder: should be a path of this machine's file "
         "system, not a URI, found 's3://bucket/x'"),
        ("report.path=dbfs:/x", "report.path: should be a path of this machine's file system, not "
         "a URI, found 'dbfs:/x'"),
        ("report.path=''", "report.path: should be a path, found ''"),
        ("corpus={input: python_environment, path: /data}",
         "corpus.path: is not for input: python_environment; input is the files' format"),
    ],
)  # fmt: skip
def test_what_can_only_fail_later_fails_at_load(override: str, problem: str) -> None:
    assert refusal(None, override) == f"settings: {problem}"


@pytest.mark.parametrize("text", ["", "corpus:\n", "corpus: {}\n", "corpus: {source: web}\n"])
def test_a_file_says_what_the_corpus_is(file: Path, text: str) -> None:
    file.write_text(f"{text}selection: {{seed: x}}\n")
    assert refusal(file).splitlines() == [
        "F: corpus.input: is missing; it should be one of python_environment, parquet, json, csv, "
        "text, delta, table, messages, or corpus.inputs a list of several; mira init FILES "
        "writes a file that has it",
        "F: selection.seed: should be a whole number, found 'x'",
    ]


def test_defaults_from_elsewhere_lie_beneath_the_file_and_the_overrides(file: Path) -> None:
    file.write_text("labelling: {documents_per_source: 5}\n")
    found = load(file, ["scoring.unit_tokens=7"], main.DEMO)
    assert (found.labelling.documents_per_source, found.scoring.unit_tokens) == (5, 7)
    assert found.corpus.input == "python_environment"
    assert load(None, (), main.DEMO).labelling.documents_per_source == 700


def test_the_settings_are_written_as_a_file_that_says_the_same(file: Path) -> None:
    read_on = "{m: {input: 0.1, output: 2, read_on: 2026-11-01}}"
    for overrides in ([], ["judge.prices=" + read_on, "grouping.mapping={'no': a, '1': b}",
                           "folder=a b", "selection.budget=30%"]):  # fmt: skip
        settings = load(CONF / "local.yaml", overrides)
        file.write_text(settings.as_yaml(), encoding="utf-8")
        assert load(file) == settings
