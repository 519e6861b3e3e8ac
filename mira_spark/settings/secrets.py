"""How settings refer to keys, and what looks like a key where none belongs."""

import re

FORMS = "env:NAME (in capitals), databricks:SCOPE/KEY, or none for a server without a key"


_KEY = re.compile(
    r"://[^/\s?#@]*:[^/\s?#]+@"
    r"|[?&;](?:password|passwd|pwd|token|api_?key|access_?key|secret|sig)=[^&;\s]"
    r"|\b(?:sk[-_]|hf_|gh[opsu]_|dapi|AKIA|AIza|xox[abp]-)[A-Za-z0-9_-]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)


# A variable's name is in capitals and has no such long word: most keys are no such name.
_REFERENCE = re.compile(
    r"none|env:(?!.*[A-Z0-9]{20})[A-Z_][A-Z0-9_]*|databricks:[^\s/:]+/[^\s/]+", re.ASCII
)


def is_reference(text: str) -> bool:
    """Whether the text is of the form that `read` takes."""
    return _REFERENCE.fullmatch(text) is not None


def holds_key(text: str) -> bool:
    """Whether the text looks as if it held a key or password: in a URL, or on its own."""
    return _KEY.search(text) is not None
