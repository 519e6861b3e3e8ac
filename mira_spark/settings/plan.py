"""What `mira plan` is told of machines, where nothing was measured on them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mira_spark.settings.students import StudentKind

_Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PlanSettings(BaseModel):
    """By kind of student, each of one device: a core, a GPU, or a server for `served`.

    `tokens_per_second` are scored, `training_tokens_per_second` are learnt from, every epoch
    counted; they stand in the place of what was measured (`students.rates`). Without
    `dollars_per_device_hour` no dollars are shown. `devices_per_executor` is 1 where not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens_per_second: Mapping[StudentKind, _Amount] = {}
    training_tokens_per_second: Mapping[StudentKind, _Amount] = {}
    dollars_per_device_hour: Mapping[StudentKind, _Amount] = {}
    devices_per_executor: Mapping[StudentKind, Annotated[int, Field(ge=1)]] = {}
