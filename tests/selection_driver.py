"""A process that selects and may be told to die: `python -m tests.selection_driver FOLDER BUDGET`.

It prints what the views show, selects, and prints it again, a line of JSON each; in an empty folder
it makes the documents first.
"""

import json
import sys
from pathlib import Path

from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import record
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake


def shown(lake: Lakehouse) -> str:
    """The ids in each view, and how many selections stand in the tables."""
    views = ("selected", "selected_default")
    there = [view for view in views if lake.view_query(view) is not None]
    found = {view: sorted(selection_lake.ids(lake, view)) for view in there}
    return json.dumps(found | {"selections": len(record.all_selections(lake))})


def main(folder: Path, budget: str) -> None:
    is_new = not folder.exists()
    spark = open_local(folder, cores=2, memory="2g")
    lake = Lakehouse(spark, "selecting")
    if is_new:
        spark.sql("CREATE SCHEMA selecting")
        selection_lake.prepared(lake, folder, folder)
    settings = selection_lake.settings_of(lake, folder, folder)
    sys.stdout.write(f"{shown(lake)}\n")
    sys.stdout.flush()
    chosen = SelectionSettings(budget=budget, materialize="manifest")
    select_documents.run(lake, settings.model_copy(update={"selection": chosen}), "r")
    sys.stdout.write(f"{shown(lake)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
