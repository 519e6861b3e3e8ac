"""Which scores count now."""

from collections.abc import Iterable

from pyspark.sql import DataFrame, functions as F

from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import checks
from mira_spark.scoring.checks import SCORE_KEY

GROUP_KEY = ["source", "source_group"]


def current_scores(
    lake: Lakehouse,
    grouping_id: str,
    student_ids: Iterable[str],
    documents_version: int,
    scores_version: int | None,
    all_belong: bool | None = None,
) -> DataFrame:
    """The current scores, one row per document: of its source's group by one of the students, for
    the text the document has. None is the version of `scores` as it is now.

    Where every score is known to belong to a document (`all_belong`, looked up when None) no join
    is needed.
    """
    wanted = F.col("grouping_id") == grouping_id
    grouped = lake.read("source_groups").filter(wanted).select(*GROUP_KEY)
    students = sorted(student_ids)
    rows = lake.read("scores", scores_version).filter(F.col("student_id").isin(students))
    rows = rows.join(F.broadcast(grouped), on=GROUP_KEY, how="left_semi")
    if all_belong is None:
        all_belong = checks.latest_proof(lake, students).all_belong
    if all_belong:
        return rows
    documents = lake.read("documents", documents_version).select(*SCORE_KEY)
    return rows.join(documents, on=SCORE_KEY, how="left_semi")


def current_scores_query(
    lake: Lakehouse,
    grouping_id: str,
    student_ids: Iterable[str],
    scores_version: int,
    documents_version: int | None,
) -> str:
    """`current_scores` as SQL, for views: SELECT over the pinned versions. Without the version of
    `documents` also those that belong to none."""
    students = ", ".join("'" + s.replace("'", "") + "'" for s in sorted(student_ids)) or "NULL"
    rows = f"SELECT * FROM {lake.name('scores')} VERSION AS OF {scores_version} AS s"
    grouped = (
        f"SELECT 1 FROM {lake.name('source_groups')} AS g WHERE g.source = s.source AND "
        f"g.grouping_id = '{grouping_id}' AND "
        "g.source_group = s.source_group"
    )
    query = f"{rows} WHERE s.student_id IN ({students}) AND EXISTS ({grouped})"
    if documents_version is None:
        return query
    documents = f"{lake.name('documents')} VERSION AS OF {documents_version}"
    same = " AND ".join(f"d.{key} = s.{key}" for key in SCORE_KEY)
    return f"{query} AND EXISTS (SELECT 1 FROM {documents} AS d WHERE {same})"
