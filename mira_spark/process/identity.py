"""Which process a driver is, and whether it has ended, as far as that can be told from here."""

import os
import re
import secrets
import socket
from pathlib import Path

_DRIVER = re.compile(
    r"process (?P<process>\d{1,9}) on \S+ "
    r"\(boot (?P<boot>\S+), (?P<namespace>\S+), started (?P<started>\d+), [0-9a-f]+\)"
)


def this_driver() -> str:
    """A name for this process, used once: process id, host, what the id is of, a random part."""
    process = os.getpid()
    return (
        f"process {process} on {socket.gethostname()} (boot {boot_id()}, {pid_namespace()}, "
        f"started {started(process)}, {secrets.token_hex(3)})"
    )


def is_gone(name: str) -> bool:
    """Whether the driver of this name was a process of this machine, seen from here, and is no
    more."""
    driver = _DRIVER.fullmatch(name)
    if driver is None or (driver["boot"], driver["namespace"]) != (boot_id(), pid_namespace()):
        return False
    process = int(driver["process"])
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and another user's
        return False
    return started(process) not in (int(driver["started"]), None)


def boot_id() -> str:
    """What names this machine since it was started; random where the system has no such name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)


def pid_namespace() -> str:
    """The namespace that process ids are of."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "pid:unknown"


def started(process: int) -> int | None:
    """When the process started, in ticks since boot; 0 for one that has ended, None where that
    cannot be seen."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # its name may hold spaces and brackets
    return 0 if fields[0] in "ZX" else int(fields[19])
