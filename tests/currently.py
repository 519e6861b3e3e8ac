"""What counts under all settings, as the steps put it together."""

from collections.abc import Mapping

from mira_spark.corpus.grouping import grouping_id
from mira_spark.labels import forms, labelling
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import current
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.root import Settings


def discoveries(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    return forms.discoveries(lake, settings.source_grouping, settings.discovery, settings.judge)


def signed_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    return current.signed_rubrics(lake, discoveries(lake, settings))


def labelling_ids(settings: Settings, rubrics: Mapping[str, Rubric]) -> dict[str, str]:
    generation = settings.labelling.generation
    return labelling.labelling_ids(
        rubrics, forms.asking_id(settings.judge, "labelling", generation)
    )


def grouping_of(settings: Settings) -> str:
    return grouping_id(settings.grouping)
