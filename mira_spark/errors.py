"""The errors a caller may catch; every one says what is wrong, where, and what would be right."""

from collections.abc import Iterable

EXIT_CODES = {"done": 0, "degraded": 3, "stopped": 75}
"""How a step may end without an error, and what a command then ends with."""


class MiraError(Exception):
    """Something the user can mend. `exit_code` is what a command ends with when it meets one."""

    exit_code = 2


class ConfigError(MiraError):
    """The configuration is unusable; the message lists every problem found, one a line."""


class InputError(MiraError):
    """The data a step was pointed at cannot be used (missing, empty, without a column)."""


class UnsignedError(InputError):
    """A rubric waits for a person to sign it; nothing else keeps the step from going on."""

    exit_code = 4


class SchemaError(MiraError):
    """A table exists with other columns than this version writes."""


class BusyError(MiraError):
    """Another process holds what this one needs; it can be tried again later."""

    exit_code = 75


class OutsideError(MiraError):
    """A disk, Java or a server failed; what was done is kept and the command can be resumed."""

    exit_code = 75


class JudgeError(MiraError):
    """The judge cannot go on; what it answered so far is kept and the step can be resumed."""

    exit_code = 75


class OutageError(MiraError):
    """A server, a memory, a worker or a disk failed, and no document is to blame: what it kept from
    being done can be done later. `lasting`: until then there is no use in another try."""

    exit_code = 75

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class StudentError(MiraError):
    """A student does not do what the protocol of students asks of it: a defect of its kind."""

    exit_code = 1


class ArtefactError(MiraError):
    """A student's artefact folder is damaged, incomplete or not ours; nothing of it was loaded."""


class ReconciliationError(MiraError):
    """Rows written differ from rows expected; a defect or a change under a pinned version."""

    exit_code = 1


def error_class(text: str) -> type[MiraError] | None:
    """The class of ours that a text begins with, as another process wrote `ArtefactError: …`."""
    found = globals().get(text.partition(":")[0])
    return found if isinstance(found, type) and issubclass(found, MiraError) else None


def joined(problems: Iterable[str]) -> str:
    """All problems as one message, one a line."""
    return "\n".join(problems)
