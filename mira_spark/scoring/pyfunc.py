"""What `mlflow.pyfunc` loads for people who score a few texts by hand; executors never do."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mira_spark.scoring import batches
from mira_spark.students import artefact

_COLUMNS = ("text", "source")
_OUTPUT = ("quality", "dimension_scores")


class StudentModel:
    """A loaded artefact as MLflow asks for it."""

    def __init__(self, folder: Path) -> None:
        digest = hashlib.sha256((folder / artefact.MANIFEST).read_bytes()).hexdigest()
        self._loaded = artefact.load(folder, digest)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """`quality` in points of 0-10 (None: no dimension counts) and `dimension_scores`, in slot
        order, for columns `text` and `source`; without `source` the group's cells count."""
        texts = pa.array(frame["text"], pa.string())
        named = frame["source"] if "source" in frame else [""] * len(frame)
        rated = batches.rate(texts, pa.array(named, pa.string()), *self._loaded)
        points = [q if q is None else q / 1000 for q in rated["quality"].to_pylist()]
        scores = [
            s if s is None else [score / 1000 for score in s]
            for s in rated["dimension_scores"].to_pylist()
        ]
        return pd.DataFrame({"quality": points, "dimension_scores": scores}, index=frame.index)


def _load_pyfunc(path: str) -> StudentModel:
    return StudentModel(Path(path))
