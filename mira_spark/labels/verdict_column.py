"""The column `labels.verdict`: the rule of `verdict.py` in Spark, over the whole table."""

from pyspark.sql import DataFrame, functions as F

from mira_spark.labels.verdict import MAX_NULL_SHARE
from mira_spark.lake.scale import WEIGHT
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.tables import Lakehouse

KEY = TABLES["labels"].key


def update_verdicts(lake: Lakehouse) -> None:
    """Set the verdict of every label, of earlier labellings too, as one commit of `labels`; none
    where all are right. More labels of a source can change those that are there."""
    lake.update_rows(verdicts(lake), "labels", ["verdict"])


def verdicts(lake: Lakehouse) -> DataFrame:
    """A row for each label: its key and its verdict, double, null where there is none.

    Bit for bit those of `verdict.verdicts` on the labels of one labelling that are not set aside;
    a label that is set aside has none.
    """
    answers = lake.read("labels").select(
        *KEY,
        "source",
        "rubric_id",
        "set_aside",
        "spoilt",
        F.posexplode("scores").alias("slot", "score"),
    )
    null_share = F.avg(F.col("score").isNull().cast("double"))
    given = answers.filter(F.col("set_aside").isNull() & F.col("spoilt").isNull())
    cells = given.groupBy("labelling_id", "source", "slot").agg(
        (null_share <= MAX_NULL_SHARE).alias("applies")
    )
    weights = lake.read("rubrics").select(
        "rubric_id", "slot", F.coalesce("weight", F.lit(WEIGHT)).alias("weight")
    )
    counted = answers.join(cells, on=["labelling_id", "source", "slot"], how="left").join(
        weights.distinct(), on=["rubric_id", "slot"], how="left"
    )
    is_counted = F.col("applies") & F.col("score").isNotNull() & F.col("set_aside").isNull()
    weight = F.when(is_counted, F.coalesce("weight", F.lit(WEIGHT)))
    verdict = F.try_divide(F.sum(weight * F.col("score")), F.sum(weight))
    return counted.groupBy(*KEY).agg(verdict.alias("verdict"))
