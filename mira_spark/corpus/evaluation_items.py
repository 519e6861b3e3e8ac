"""The items of evaluation sets: read as inputs of the corpus are, counted, known by a digest."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.corpus import documents as corpus, word_characters
from mira_spark.corpus.input_rows import NamedInput, input_state, read_input
from mira_spark.corpus.ngram_batches import ITEM
from mira_spark.errors import InputError, joined
from mira_spark.lake.input_files import named_files
from mira_spark.settings.evaluation import EvaluationSet, EvaluationSettings

_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class SetOfItems:
    """An evaluation set as it was read. `rows` have ITEM and `text`, each item once; `set_aside`
    counts the rows that are no item, by reason; `left_out` are its files that were not read."""

    name: str
    rows: DataFrame
    set_aside: Mapping[str, int]
    left_out: Mapping[str, str]


class SetSummary(NamedTuple):
    """How many items a set has, and a digest of them and of what decides how they are looked
    for."""

    items: int
    digest: str


def named_items(each: EvaluationSet) -> dict[str, NamedInput]:
    """The set's columns of text, each as an input."""
    key = f"evaluation.sets.{each.name}"
    return {column: NamedInput(chosen, key) for column, chosen in each.inputs.items()}


def items_state(spark: SparkSession, each: EvaluationSet) -> str:
    """What tells the set's present files or table from any other; InputError without any."""
    return input_state(spark, next(iter(named_items(each).values())))


def read_items(spark: SparkSession, each: EvaluationSet) -> SetOfItems:
    """The items of a set. InputError as of `read_input`, where two items have one id, or where no
    row has a text."""
    parts, aside = [], Counter[str]()
    left_out: dict[str, str] = {}
    for column, named in named_items(each).items():
        read = read_input(spark, named)
        mapped = corpus.in_our_columns(read.rows, _MOST_BYTES)
        for row in mapped.groupBy("reason").count().filter("reason IS NOT NULL").collect():
            aside[row["reason"]] += row["count"]
        parts.append(
            mapped.filter("reason IS NULL").select(
                F.lit(each.name).alias("item_set"),
                F.lit(column).alias("item_column"),
                F.col("doc_id").alias("item_id"),
                "text",
            )
        )
        left_out |= read.left_out
    rows = reduce(DataFrame.unionByName, parts).distinct()
    return SetOfItems(each.name, rows, aside, left_out)


def summarise_items(items: DataFrame, settings: EvaluationSettings) -> dict[str, SetSummary]:
    """Of each set that has an item. InputError for each in which an id is that of several items of
    one column."""
    id_hash, item = F.sha2(F.to_json(F.struct(*ITEM)), 256), F.to_json(F.struct(*ITEM, "text"))
    hashed = items.select("item_set", id_hash.alias("id"), F.sha2(item, 256).alias("item"))
    parts = hashed.groupBy("item_set", F.substring("id", 1, 3)).agg(
        F.count("*").alias("items"),
        F.count_distinct("id").alias("ids"),
        F.sha2(F.concat_ws("", F.sort_array(F.collect_list("item"))), 256).alias("digest"),
    )
    rows = sorted(parts.collect(), key=lambda row: str(row["digest"]))
    rule = settings.model_dump(mode="json", exclude={"sets"})
    rule |= {"version": word_characters.WORDS_VERSION}
    contents: dict[str, list[str]] = {}
    counts, repeated = Counter[str](), Counter[str]()
    for row in rows:
        contents.setdefault(row["item_set"], [json.dumps(rule, sort_keys=True)])
        contents[row["item_set"]].append(row["digest"])
        counts[row["item_set"]] += row["items"]
        repeated[row["item_set"]] += row["items"] - row["ids"]
    if problems := [_repeated(items, name) for name, count in repeated.items() if count]:
        raise InputError(joined(sorted(problems)))
    return {
        name: SetSummary(counts[name], _digest("\n".join(content)))
        for name, content in contents.items()
    }


def _repeated(items: DataFrame, name: str) -> str:
    of_set = items.filter(F.col("item_set") == name).groupBy(*ITEM).count().filter("count > 1")
    ids, example = of_set.agg(F.count("*"), F.min("item_id")).collect()[0]
    return (
        f"evaluation.sets.{name}.columns.doc_id: {ids:,} ids are those of several items, e.g. "
        f"{example!r}: name another column, or null"
    )


def settings_digest(each: EvaluationSet, settings: EvaluationSettings) -> str:
    """Of all that the settings say of a set and how its items are looked for."""
    said = settings.model_dump(mode="json", exclude={"sets"})
    said["set"] = each.model_dump(mode="json")
    return _digest(json.dumps(said, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def set_line(each: SetOfItems, items: int, looked_for: int, settings: EvaluationSettings) -> str:
    """What is said of a set; InputError where no item can be looked for."""
    aside = list(_set_aside(each, items - looked_for, settings.short_words))
    if not looked_for:
        why = f": {', '.join(aside)}" if aside else ""
        raise InputError(f"evaluation.sets.{each.name}: has no item to look for{why}")
    return ", ".join([f"{each.name}: {looked_for:,} items", *aside])


def _set_aside(each: SetOfItems, short: int, short_words: int) -> Iterator[str]:
    if short:
        yield f"{short:,} of fewer than {short_words} words not looked for"
    for reason, count in sorted(each.set_aside.items()):
        yield f"{count:,} rows {reason}"
    if each.left_out:
        yield f"{len(each.left_out):,} files left out: {named_files(each.left_out)}"
