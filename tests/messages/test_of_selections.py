"""What is said of selections, of artefacts, and of what fails outside, word for word."""

from pathlib import Path

import pytest

from mira_spark.process.failures import explained
from mira_spark.selection import candidates, frontier, order
from mira_spark.selection.unscored import Unscored
from mira_spark.settings.selection import SelectionSettings
from mira_spark.students import artefact
from tests.messages.saying import Case, message, written


def filtered(column: str, operator: str, value: object) -> SelectionSettings:
    where = [{"column": column, "operator": operator, "value": value}]
    return SelectionSettings.model_validate({"where": where})


SELECTIONS: dict[str, Case] = {
    "a filter of no column": (
        lambda: candidates.check(filtered("licence", "=", "mit")),
        "selection.where: there is no column licence; there are source, source_group, "
        "domain, license, sendable, repaired, n_bytes, n_tokens, quality and metadata.<key>",
    ),
    "a filter of a number by a text": (
        lambda: candidates.check(filtered("n_tokens", ">", "many")),
        "selection.where: n_tokens >: 'many' should be a number",
    ),
    "a filter by a list where one value belongs": (
        lambda: candidates.check(filtered("license", "=", ["mit"])),
        "selection.where: license =: the value should be one value, no list",
    ),
    "a filter of a flag by a text": (
        lambda: candidates.check(filtered("sendable", "=", "yes")),
        "selection.where: sendable =: 'yes' should be true or false",
    ),
    "a budget below the smallest document": (
        lambda: order.budget_tokens("1%", 1_000, 20),
        "selection.budget: 1% is 10 of 1,000 tokens, less than the smallest document (20 "
        "tokens); nothing could be selected: set a larger one",
    ),
    "budgets and policies that are none": (
        lambda: frontier.alternatives(SelectionSettings(), "much, 40%", "all, group"),
        "--policy all: should be 'group', 'global' or 'source'\n"
        "--budget much: should be a number of tokens, e.g. 25_000_000_000, or e.g. 40%",
    ),
    "a floor of a source without scores": (
        lambda: Unscored(
            1, {"web": 9}, {"web": "score_documents"}, {"web": "score_documents"}
        ).check(SelectionSettings(floors={"web": "1%"})),
        "selection.floors.web: no document of web is scored: run mira score-documents first",
    ),
    "an artefact that is not there": (
        lambda: artefact.load(Path("none"), "0" * 64),
        "none: is no folder, expected one with config.json, manifest.json, model.safetensors",
    ),
    "an artefact with a file missing and one too many": (
        lambda: artefact.load(Path(written("student/notes.txt", b"a")).parent, "0" * 64),
        "student/config.json: is missing\n"
        "student/manifest.json: is missing\n"
        "student/model.safetensors: is missing\n"
        "student/notes.txt: is extra, expected only config.json, manifest.json, "
        "model.safetensors",
    ),
    "a full disk": (
        lambda: explained(OSError(28, "No space left on device", "/data/part-1")),
        "/data/part-1: No space left on device; what was done is kept, and the same "
        "command goes on from here",
    ),
    "a folder that may not be written": (
        lambda: explained(PermissionError(13, "Permission denied", "/data")),
        "/data: Permission denied; mend that, or name another place in the settings",
    ),
    "a catalog that is in use": (
        lambda: explained(RuntimeError("ERROR XSDB6: another instance of Derby may have booted")),
        "the catalog in the folder is in use by another process: wait until it ends, or "
        "give this one a folder of its own with --set folder=PATH (ERROR XSDB6: another "
        "instance of Derby may have booted)",
    ),
    "another writer of the same table": (
        lambda: explained(RuntimeError("[DELTA_CONCURRENT_APPEND] files were added")),
        "another driver wrote to the same table: wait until it ends; what was done is "
        "kept, and the same command goes on from here ([DELTA_CONCURRENT_APPEND] files "
        "were added)",
    ),
    "jars that cannot be fetched": (
        lambda: explained(RuntimeError("unresolved dependency: io.delta")),
        "the jars of Delta are not on this machine and could not be fetched: Spark gets "
        "them from Maven Central once, and needs a network for that (unresolved "
        "dependency: io.delta)",
    ),
    "a Spark without Delta": (
        lambda: explained(
            RuntimeError("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta.")
        ),
        "this Spark has no Delta: add the jars delta-spark and delta-storage that belong "
        "to its version, with spark.sql.extensions and spark.sql.catalog.spark_catalog of "
        "Delta ([DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta.)",
    ),
    "a bucket that does not exist": (
        lambda: explained(RuntimeError("NoSuchBucket")),
        "a bucket of the settings, or of the schema's location, does not exist: make it, "
        "or name another (NoSuchBucket)",
    ),
    "a right that is missing": (
        lambda: explained(RuntimeError("[INSUFFICIENT_PERMISSIONS] USE SCHEMA")),
        "a right in the catalog is missing: let its owner grant what is named here "
        "([INSUFFICIENT_PERMISSIONS] USE SCHEMA)",
    ),
    "credentials that have expired": (
        lambda: explained(RuntimeError("ExpiredToken")),
        "the credentials for the storage have expired: renew them; what was done is kept, "
        "and the same command goes on from here (ExpiredToken)",
    ),
    "Java that is missing": (
        lambda: explained(RuntimeError("JAVA_HOME is not set")),
        "Spark needs Java 17 or later: install it, or let JAVA_HOME name it (JAVA_HOME is not set)",
    ),
    "memory that is full": (
        lambda: explained(RuntimeError("java.lang.OutOfMemoryError: heap")),
        "Java's memory was full: raise local_memory, or the platform's driver memory; what "
        "was done is kept, and the same command goes on from here "
        "(java.lang.OutOfMemoryError: heap)",
    ),
    "a server that is not there": (
        lambda: explained(ConnectionRefusedError(111, "Connection refused")),
        "a server could not be reached; what was done is kept, and the same command goes "
        "on from here ([Errno 111] Connection refused)",
    ),
}


@pytest.mark.parametrize("what", SELECTIONS)
def test_what_is_said_is_what_is_written_here(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, words = SELECTIONS[what]
    assert message(call) == words
