"""Seconds that the commands which only read take in `mira shell`, over a lake that is there.

`python -m tests.benchmarks.commands --config .mira/demo.yaml`, after the demo.
"""

import argparse
import statistics
import time

from mira_spark.cli.ending import exit_code
from mira_spark.cli.main import app
from mira_spark.cli.opening import open_lakehouse
from mira_spark.process.progress import console, say, show_table
from mira_spark.settings.root import load

TIMES = 5
LIMIT_S = 3.0


def commands(doc_id: str, student: str) -> list[list[str]]:
    """What only reads, with arguments that the lake has."""
    return [
        ["status"],
        ["sql", "select source, count(*) as n, sum(n_tokens) as t from selected group by source"],
        ["sql", "--json", "select * from selections"],
        ["what-if", "--budget", "10%,20%"],
        ["explain", doc_id],
        ["selection", "list"],
        ["selection", "show", "default"],
        ["selection", "diff", "default", "default"],
        ["students", "list"],
        ["students", "show", student],
        ["plan"],
    ]


def main() -> None:
    """Print the median of each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    config = parser.parse_args().config
    started = time.monotonic()
    lake = open_lakehouse(load(config))
    say(f"the session: {time.monotonic() - started:.1f} s, once")
    doc_id = lake.read("selected").select("doc_id").limit(1).collect()[0][0]
    student = lake.read("students").select("student_id").limit(1).collect()[0][0]
    rows = []
    for command in commands(doc_id, student):
        seconds = []
        for _ in range(TIMES):
            began = time.monotonic()
            with console.capture():
                code = exit_code(
                    lambda c=command: app(args=[*c, "--config", config], standalone_mode=False)
                )
            assert code == 0, command
            seconds.append(time.monotonic() - began)
        median = statistics.median(seconds)
        said = " ".join(word[:40] for word in command)
        rows.append((said, f"{median:.2f}", "" if median <= LIMIT_S else f"over {LIMIT_S:g}"))
    show_table(("command", "s", ""), rows, texts=1, title=f"Median of {TIMES}")


if __name__ == "__main__":
    main()
