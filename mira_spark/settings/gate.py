"""When a student may become champion."""

from pydantic import BaseModel, ConfigDict, Field


class GateSettings(BaseModel):
    """What the gate asks of a student's quality, on documents it did not learn from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_spearman_within: float = Field(0.0, ge=-1, lt=1)
    """The lower end of Spearman within source must be above this."""
    min_gain: float = Field(0.0, ge=-1, lt=1)
    """The lower end of the gain at 40 % of the tokens must be above this; the judge's own is 1."""
    min_noise_auc: float = Field(0.7, ge=0, le=1)
    """A document must be above its spoilt copy at least so often; 0.5 is chance."""
    max_length_correlation: float = Field(0.5, ge=0, le=1)
    """Quality may correlate with length within source so far, in either direction."""
    max_length_excess: float = Field(0.1, ge=0, le=2)
    """Where the judge itself correlates with length more, quality may by this much more still."""
    max_champion_loss: float = Field(0.02, ge=0, le=2)
    """The lower end of the gain less the champion's may be so far below 0."""
