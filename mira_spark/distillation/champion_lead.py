"""How far a new student is ahead of the champion."""

import numpy as np
from pyspark.sql import functions as F

from mira_spark.distillation.assessment import Assessment
from mira_spark.distillation.figures import gain_difference
from mira_spark.labels.agreement import Estimate
from mira_spark.lake.tables import Lakehouse
from mira_spark.students.paper_rule import NO_QUALITY


def lead_over(
    lake: Lakehouse, champion_id: str, rubric_id: str, assessment: Assessment
) -> Estimate | None:
    """The student's gain less the champion's, on the labels that neither learnt from; None where
    the champion has another rubric, or there are no such labels."""
    champion = F.col("student_id") == champion_id
    on_rubric = champion & (F.col("rubric_id") == rubric_id)
    if lake.read("students").filter(on_rubric).isEmpty():
        return None
    predictions = lake.read("student_predictions").filter(champion).collect()
    known = {row["doc_id"]: row["quality"] for row in predictions if row["quality"] is not None}
    qualities = [known.get(doc_id, NO_QUALITY) for doc_id in assessment.rows.doc_ids]
    if set(qualities) <= {NO_QUALITY}:
        return None
    return gain_difference(assessment.judged, assessment.quality, np.array(qualities, np.int16))
