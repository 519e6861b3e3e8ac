"""Named places where a drill makes this process fail, to show that nothing is lost or done twice.

`MIRA_FAILPOINTS` holds `place=raise` or `place=exit`, separated by commas; without it nothing
happens. Places stand on both sides of every durable change.
"""

import os

VARIABLE = "MIRA_FAILPOINTS"
_EXIT_CODE = 70


class DrillError(Exception):
    """The failure that a drill asked for."""


def reach(place: str) -> None:
    """Fail here if this process was told to: by DrillError, or by ending at once."""
    for drill in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, how = drill.partition("=")
        if name == place and how == "exit":
            os._exit(_EXIT_CODE)
        if name == place:
            raise DrillError(f"drill at {place}")
