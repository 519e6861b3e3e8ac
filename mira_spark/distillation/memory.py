"""What a training needs beside what there is: said before it starts, not by the kernel's killer."""

from pathlib import Path

from mira_spark.errors import InputError

_MEMINFO = Path("/proc/meminfo")


def require_memory(n_bytes: int, what: str, meminfo: Path = _MEMINFO) -> None:
    """InputError when `what` needs more memory than is available now; silent where nothing says how
    much there is."""
    available = _available(meminfo)
    if available is not None and n_bytes > available:
        raise InputError(
            f"{what} needs about {n_bytes / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are "
            "available: choose a smaller one, or a larger driver"
        )


def fitting(n_bytes: int, most: int, meminfo: Path = _MEMINFO) -> int:
    """How many things of this size, 1 to `most`, are together in half of the available memory."""
    available = _available(meminfo)
    return most if available is None else max(1, min(most, available // 2 // n_bytes))


def _available(meminfo: Path) -> int | None:
    """Bytes; None where nothing says how much there is."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
