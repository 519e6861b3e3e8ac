"""A training that cannot fit is refused before it starts."""

from pathlib import Path

import pytest

from mira_spark.distillation import memory
from mira_spark.errors import InputError


def test_what_needs_more_than_there_is_is_refused_with_both_figures(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:   9000000 kB\nMemAvailable:   2000000 kB\n")
    memory.require_memory(2_048_000_000, "a table", meminfo)
    with pytest.raises(InputError, match=r"^a table needs about 2\.1 GB of memory, 2\.0 GB are "):
        memory.require_memory(2_060_000_000, "a table", meminfo)


def test_where_nothing_says_how_much_there_is_nothing_is_refused(tmp_path: Path) -> None:
    memory.require_memory(1 << 60, "a table", tmp_path / "none")
    (tmp_path / "other").write_text("something else")
    memory.require_memory(1 << 60, "a table", tmp_path / "other")
