"""Where the report is written."""

from pydantic import BaseModel, ConfigDict

from mira_spark.settings.types import LocalPath


class ReportSettings(BaseModel):
    """`path`: the HTML file to write; None: `report.html` in the shared folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: LocalPath | None = None
