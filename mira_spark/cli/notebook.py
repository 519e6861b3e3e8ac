"""What the notebooks share: the tables to read, and how rows and plots are shown, on Databricks and
elsewhere."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from mira_spark.cli.opening import open_lakehouse
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings, load

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Notebook:
    """The settings and tables of a notebook; `names` are the notebook's own, among them
    `display` on Databricks and in Jupyter."""

    settings: Settings
    lake: Lakehouse
    names: Mapping[str, Any]

    def sql(self, query: str) -> DataFrame:
        """The rows of a query; tables and views need no schema in front."""
        return self.lake.execute(query)

    def show(self, rows: DataFrame) -> None:
        """A table: the notebook's own on Databricks, else 100 rows as text."""
        if "dbutils" in self.names:
            self.names["display"](rows)
        else:
            rows.show(100, truncate=60)

    def plot(self, figure: "go.Figure", name: str) -> None:
        """A plot: in the notebook, else as `name`.html beside the report."""
        if "display" in self.names:
            self.names["display"](figure)
        else:
            figure.write_html(self.file(f"{name}.html"))

    def file(self, name: str) -> Path:
        """A file of this name beside the report."""
        report = self.settings.report.path or self.settings.driver_files / "report.html"
        report.parent.mkdir(parents=True, exist_ok=True)
        return report.with_name(name)


def open_notebook(names: Mapping[str, Any]) -> Notebook:
    """The tables that the notebook's arguments name, of the session `spark` where the notebook has
    one; `names` are its `globals()`.

    Arguments are a settings file (.yaml, by path or URI) and settings over it (`namespace=mira`).
    On Databricks they stand in the widget `settings`. ConfigError for anything else.
    """
    if "dbutils" in names:
        names["dbutils"].widgets.text("settings", "session=platform namespace=main.mira")
        arguments = names["dbutils"].widgets.get("settings").split()
    else:
        arguments = sys.argv[1:]
    config = next((a for a in arguments if a.endswith((".yaml", ".yml")) and "=" not in a), None)
    settings = load(config, [a for a in arguments if a != config])
    if "spark" in names:
        lake = Lakehouse(names["spark"], settings.namespace)
    else:
        lake = open_lakehouse(settings)
    lake.use()
    return Notebook(settings, lake, names)
