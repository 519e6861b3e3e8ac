"""What an artefact's `config.json` may say: the closed list of kinds. Nothing here needs torch."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from mira_spark.settings.students import ServedSettings

MOST_SLOTS: Final = 16
_CHARACTERS_PER_TOKEN: Final = 8
"""So much of a long text is looked at for each token kept; more would be tokenised in vain."""
Slots = Annotated[int, Field(ge=1, le=MOST_SLOTS)]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LinearConfig(_Config):
    """A table of 2**bits rows; `dtype` is that of the file, in memory it is float32. With
    `byte_grams` byte 4-grams are features too."""

    kind: Literal["linear"]
    hashing_version: Literal[2]
    bits: int = Field(ge=1, le=30)
    slots: Slots
    dtype: Literal["F32", "F16"]
    byte_grams: bool


class EncoderConfig(_Config):
    """A transformers encoder and its heads. A document of more than `max_tokens` is read in three
    windows."""

    kind: Literal["encoder"]
    slots: Slots
    max_tokens: int = Field(ge=16, le=131_072)
    architecture: dict[str, Any]


class GenerativeConfig(_Config):
    """A causal language model that writes a score and a reason for each of `anchors`."""

    kind: Literal["generative"]
    slots: Slots
    anchors: tuple[str, ...]
    max_tokens: int = Field(ge=16, le=131_072)
    architecture: dict[str, Any]


class ServedConfig(_Config):
    """A server that scores `anchors`, in slot order; there are no weights of ours."""

    kind: Literal["served"]
    anchors: tuple[str, ...] = Field(min_length=1, max_length=MOST_SLOTS)
    server: ServedSettings

    @property
    def slots(self) -> int:
        """How many scores a document gets."""
        return len(self.anchors)


def piece(max_tokens: int) -> int:
    """Characters of each of the three pieces that a text is cut to before it is tokenised: so many
    that their tokens fill what is kept of a document."""
    return max_tokens // 3 * _CHARACTERS_PER_TOKEN


def looked_at(config: LinearConfig | EncoderConfig | GenerativeConfig | ServedConfig) -> int | None:
    """Characters of each of the three pieces that a student looks at; None when it reads all.

    A text cut to these pieces, put together again, is read as the whole text is.
    """
    match config:
        case LinearConfig():
            return None
        case ServedConfig():
            return config.server.max_characters // 3
        case EncoderConfig() | GenerativeConfig():
            return piece(config.max_tokens)


def pieces(text: str, size: int) -> list[str]:
    """All of a text shorter than three pieces, else its begin, middle and end of `size` characters.

    Those three put together have these three pieces again.
    """
    if len(text) < 3 * size:
        return [text]
    middle = (len(text) - size) // 2
    return [text[:size], text[middle : middle + size], text[len(text) - size :]]


Config = Annotated[
    LinearConfig | EncoderConfig | GenerativeConfig | ServedConfig, Field(discriminator="kind")
]
