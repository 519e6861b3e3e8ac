"""A student on its way to where it scores: its artefact, its version in MLflow, its rows."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mira_spark.distillation import registry
from mira_spark.distillation.registry import Registration
from mira_spark.lake import storage
from mira_spark.lake.clock import clock_after
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.settings.students import Registry
from mira_spark.students import artefact
from mira_spark.students.artefact import Manifest
from mira_spark.students.protocol import Student

TableRows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Table to rows."""
Record = Callable[[str, Mapping[str, Any], datetime], TableRows]
"""From student_id, the columns of `students` that publishing it gives, and the time: what is
recorded of it."""


def publish(
    lake: Lakehouse,
    place: Registry,
    student: Student,
    manifest: Manifest,
    registration: Registration,
    record: Record,
    may_score: bool,
    run_id: str,
) -> str:
    """Lay the artefact where executors read it, register it, record it, and make it champion if it
    `may_score`: its student_id."""
    place.driver_files.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".student-", dir=place.driver_files) as temporary:
        folder = Path(temporary) / "student"
        digest = artefact.write(folder, student, manifest)
        uri = registry.artefact_uri(place, digest)
        storage.copy_folder(folder, uri, artefact.MANIFEST)
        weights = artefact.read_manifest(folder).files[artefact.MODEL]
        group = manifest.source_group
        student_id = registry.register(place, group, folder, digest, registration)
    reach("student.registered")
    # Replaced, not appended: a registry that was emptied gives the same student the same id again.
    # `students` comes last: what it names is recorded.
    now = clock_after(lake, "students", "created_at")()
    columns = {
        "artefact_uri": uri,
        "artefact_sha256": digest,
        "weights_sha256": weights,
        "created_at": now,
        "champion_since": now if may_score else None,
    }
    rows = record(student_id, columns, now)
    for table in sorted(rows, key=lambda name: name == "students"):
        if rows[table]:
            lake.replace_rows(rows[table], table, "student_id", student_id, run_id)
    reach("student.recorded")
    if may_score:
        registry.promote(place, student_id)
    return student_id
