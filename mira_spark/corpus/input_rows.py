"""A user's inputs as rows of text: their columns under our names, whatever they are read from."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession, functions as F

from mira_spark.corpus import typed_rows
from mira_spark.corpus.conversation_column import MESSAGES, conversation_column
from mira_spark.errors import ConfigError, InputError, MiraError, joined
from mira_spark.lake import file_rows, inputs as user_inputs
from mira_spark.lake.csv_records import Dialect
from mira_spark.lake.input_files import Listing, first_line, list_files
from mira_spark.lake.record_files import FIELDS, NOT_TEXT, RecordFormat
from mira_spark.lake.value_kinds import NULL_KIND, spark_type
from mira_spark.settings.corpus import NO_INPUT, CorpusSettings, InputSettings, KeepMessages

_RECORDS = ("json", "csv", "text")
_JSON_WITHOUT_LIMITS = {"maxStringLen": str(2**31 - 1), "maxNumLen": "100000",
                        "maxNestingDepth": "100000"}  # fmt: skip
_UNCOMPUTABLE = ("[CAST_INVALID_INPUT", "[CAST_OVERFLOW", "[DIVIDE_BY_ZERO", "[ARITHMETIC_OVERFLOW",
                 "[INVALID_ARRAY_INDEX", "[CANNOT_PARSE_TIMESTAMP")  # fmt: skip
"""What Spark says of rows for which an expression has no value."""


@dataclass(frozen=True)
class NamedInput:
    """An input, the key in the settings that problems are told with, and where the messages of its
    conversations stay."""

    settings: InputSettings
    key: str
    keep_messages: KeepMessages = "metadata"

    @property
    def mapping(self) -> dict[str, str | None]:
        """The user's name for each of our columns; None for a source that is a constant."""
        columns = self.settings.columns.model_dump()
        return {n: columns[n] for n in FIELDS} | (
            {"source": None} if self.settings.source is not None else {}
        )


@dataclass(frozen=True)
class InputRows:
    """The rows of an input as text, how many there are, and what became of its files: how many are
    read, how many of these hold rows, and which are left out for what reason."""

    name: str
    rows: DataFrame
    count: int
    files: int = 0
    files_with_rows: Callable[[], int] = int
    left_out: Mapping[str, str] = field(default_factory=dict)


def named_inputs(settings: CorpusSettings) -> list[NamedInput]:
    """The inputs of files and tables; ConfigError when the settings name nothing to be read."""
    keep = settings.keep_messages
    if settings.inputs:
        return [NamedInput(each, f"corpus.inputs.{each.name}", keep) for each in settings.inputs]
    if settings.input is None:
        raise ConfigError(NO_INPUT)
    if settings.input == "python_environment":
        return []
    single = InputSettings(
        name="input",
        format=settings.input,
        path=settings.path or "",
        source=settings.source,
        columns=settings.columns,
    )
    return [NamedInput(single, "corpus", keep)]


def input_state(spark: SparkSession, each: NamedInput) -> str:
    """What tells the input's present state from any other: the id and version of a table, or a
    digest of its files' names, sizes and times. InputError where nothing can be read."""
    chosen, key = each.settings, f"{each.key}.path"
    if chosen.format == "table":
        return user_inputs.input_version(spark, chosen.path)
    if chosen.format == "delta":
        return user_inputs.delta_version(spark, chosen.path, key)
    return user_inputs.listing_digest(list_files(spark, chosen.path, chosen.file_format, key))


@contextlib.contextmanager
def changes_told(spark: SparkSession, each_input: Sequence[NamedInput]) -> Iterator[None]:
    """Around the reading of the inputs: an error of Spark's is an InputError where an input changed
    meanwhile, or where a filter has no value for a row."""
    before = {each.key: input_state(spark, each) for each in each_input}
    try:
        yield
    except MiraError:
        raise
    except Exception as error:
        for each in each_input:
            if input_state(spark, each) != before[each.key] and each.settings.format != "table":
                raise InputError(
                    f"{each.key}.path: {each.settings.path} changed while it was read: run the "
                    "command again when nothing is written there"
                ) from error
        has_filter = [each for each in each_input if each.settings.filter is not None]
        reason = next(
            (
                line
                for line in str(error).splitlines()
                if any(code in line for code in _UNCOMPUTABLE)
            ),
            None,
        )
        if has_filter and reason is not None:
            keys = ", ".join(f"{each.key}.filter" for each in has_filter)
            raise InputError(f"{keys}: has no value for a row: {reason[:300]}") from error
        raise


def read_input(spark: SparkSession, each: NamedInput) -> InputRows:
    """Every row of the input, as text: FIELDS by its mapping, `metadata`, `nested`, `unreadable`,
    `file`, `line`, `kept` (false where its filter does not hold) and `input`, its name.

    InputError names all files that cannot be read, or all columns that are not there or hold lists
    or objects where text belongs.
    """
    chosen, key = each.settings, f"{each.key}.path"
    if chosen.format in ("table", "delta"):
        read = user_inputs.read_table if chosen.format == "table" else user_inputs.read_delta
        table = read(spark, chosen.path, key)
        return InputRows(chosen.name, text_rows(each, [table]), table.count())
    listing = list_files(spark, chosen.path, chosen.file_format, key)
    if chosen.file_format in _RECORDS:
        return _from_records(spark, each, listing)
    frames = file_rows.read_parquet(spark, listing, key)
    count = sum(frame.count() for frame in frames)
    with_rows = partial(file_rows.count_parquet_with_rows, spark, listing)
    files = (len(listing.files), with_rows, listing.left_out)
    return InputRows(chosen.name, text_rows(each, frames), count, *files)


def text_rows(each: NamedInput, frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of typed columns."""
    typed_rows.check_columns(frames, each.mapping, f"{each.key}.columns")
    _check_metadata(each, {name for frame in frames for name in frame.columns})
    parts = []
    try:
        for frame in frames:
            parts.append(typed_rows.as_text(frame, each.mapping, _filter_holds(each)))
    except AnalysisException as error:
        raise _bad_filter(each, error) from error
    return _with_name(each, reduce(DataFrame.unionByName, parts))


def _from_records(spark: SparkSession, each: NamedInput, listing: Listing) -> InputRows:
    """The rows of files of records."""
    chosen = each.settings
    form = RecordFormat(
        chosen.file_format,
        each.mapping,
        chosen.encoding,
        Dialect(**chosen.csv.model_dump()),
        not chosen.lines,
        chosen.filter is not None,
    )
    summary = file_rows.summarise_records(spark, listing, form, f"{each.key}.path")
    if summary.records.names:
        _check_records(each, summary)
        _check_metadata(each, summary.records.names)
    rows = file_rows.read_records(spark, listing, form)
    rows = _with_name(each, _with_kept(each, rows, summary).drop("record"))
    files = (len(listing.files), lambda: summary.with_rows, listing.left_out)
    return InputRows(chosen.name, rows, summary.rows, *files)


def _with_kept(each: NamedInput, rows: DataFrame, summary: file_rows.FileSummary) -> DataFrame:
    """With whether the filter holds; what is no record has nothing that it could be asked of."""
    if each.settings.filter is None or summary.records.kinds == NULL_KIND:
        return rows.withColumn("kept", F.lit(True))
    kinds = spark_type(summary.records.kinds)
    record = F.from_json("record", kinds, _JSON_WITHOUT_LIMITS).alias("record")
    columns = rows.select(F.struct("*").alias("mira_row"), record).select("mira_row", "record.*")
    is_no_record = F.col("mira_row.unreadable").isNotNull()
    try:
        return columns.select("mira_row.*", (is_no_record | _filter_holds(each)).alias("kept"))
    except AnalysisException as error:
        raise _bad_filter(each, error) from error


def _check_records(each: NamedInput, summary: file_rows.FileSummary) -> None:
    """InputError for columns that no record has, or that hold only lists or objects."""
    has = ", ".join(summary.records.names) or "none"
    problems = []
    for ours, theirs in each.mapping.items():
        there, values, nested = summary.records.counts.get(ours, (0, 0, 0))
        if theirs is not None and not there:
            problems.append(
                f"{each.key}.columns.{ours}: the input has no column {theirs}; it has: {has}"
            )
        elif theirs is not None and nested and nested == values and ours not in NOT_TEXT:
            problems.append(f"{each.key}.columns.{ours}: {typed_rows.nested_problem(ours, theirs)}")
    if problems:
        raise InputError(joined(problems))


def _check_metadata(each: NamedInput, names: Collection[str]) -> None:
    """InputError where the messages of conversations would stand for another column in metadata."""
    theirs, used = each.mapping[MESSAGES], {n.lower() for n in each.mapping.values() if n}
    is_there = MESSAGES in names and MESSAGES not in used
    if theirs is not None and each.keep_messages == "metadata" and is_there:
        raise InputError(
            f"{each.key}.columns.messages: those of {theirs} are kept in metadata as messages, and "
            "another column has that name: set corpus.keep_messages to column"
        )


def _filter_holds(each: NamedInput) -> Column:
    """Whether the filter holds for a row of the user's columns."""
    if each.settings.filter is None:
        return F.lit(True)
    return F.coalesce(F.expr(each.settings.filter), F.lit(False))


def _bad_filter(each: NamedInput, error: AnalysisException) -> InputError:
    return InputError(f"{each.key}.filter: {each.settings.filter}: {first_line(error)}")


def _with_name(each: NamedInput, rows: DataFrame) -> DataFrame:
    """With the constant source, the texts of conversations and the name of the input."""
    columns = {"input": F.lit(each.settings.name)}
    if each.settings.source is not None:
        columns["source"] = F.lit(each.settings.source)
    if each.settings.columns.sendable is None:
        columns["sendable"] = F.lit("true")
    if each.settings.columns.messages is not None:
        columns["text"] = conversation_column(F.col("messages"))
    return rows.withColumns(columns)
