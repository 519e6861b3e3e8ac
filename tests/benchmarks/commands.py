"""Seconds of a processor that a help and refused settings take, and seconds that the commands which
only read take in `mira shell`, over a lake that is there.

`python -m tests.benchmarks.commands [--config .mira/demo.yaml]`; the second part with `--config`,
after the demo.
"""

import argparse
import contextlib
import io
import resource
import statistics
import subprocess
import sys
import time

from mira_spark.cli.ending import exit_code
from mira_spark.cli.main import app
from mira_spark.cli.opening import open_lakehouse
from mira_spark.process.progress import console, say, show_table
from mira_spark.settings.root import load

TIMES = 5
LIMIT_S, LIGHT_S = 3.0, 1.0
WRONG = (
    "namespace=a-b", "session=cluster", "folder=3", "local_cores=0", "local_memory=lots",
    "corpus.input=xml", "corpus.path=", "corpus.inputs=[{}]", "corpus.max_document_bytes=-1",
    "grouping.groups=0", "grouping.mapping={x: A B}", "embedder.kind=magic", "judge.kind=oracle",
    "judge.secret=sk-0123456789abcdef0123", "judge.temperature=9", "judge.budget.per_run.usd=-1",
    "discovery.candidates=0", "labelling.documents_per_source=none", "distillation.kind=deep",
    "distillation.linear.bits=99", "gate.min_gain=7", "registry.prefix=A B",
    "scoring.unit_tokens=0",
    "selection.budget=much", "selection.policy=best", "selection.floors={web: 200%}",
    "selection.seed=1e99", "selection.name=../x", "report.paht=x", "nothing=1",
)  # fmt: skip


def commands(doc_id: str, student: str) -> list[list[str]]:
    """What only reads, with arguments that the lake has."""
    return [
        ["status"],
        ["sql", "select source, count(*) as n, sum(n_tokens) as t from selected group by source"],
        ["what-if", "--budget", "10%,20%"],
        ["explain", doc_id],
        ["selection", "list"],
        ["selection", "show", "default"],
        ["selection", "diff", "default", "default"],
        ["students", "list"],
        ["students", "show", student],
        ["plan"],
    ]


def processor_seconds(*arguments: str, code: int) -> float:
    """Of the program with these arguments, which must end with `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-m", "mira_spark", *arguments], capture_output=True, check=False
    )
    assert ended.returncode == code, (arguments, ended.stdout, ended.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def light() -> None:
    """Print the medians of a help and of WRONG."""
    helps = [processor_seconds("--help", code=0) for _ in range(TIMES)]
    refusals = [processor_seconds("run", "--set", each, code=2) for each in WRONG]
    for what, seconds in (("mira --help", helps), (f"{len(WRONG)} refused settings", refusals)):
        median = statistics.median(seconds)
        over = f", over {LIGHT_S:g}" if median > LIGHT_S else ""
        say(f"{what}: {median:.2f} s of a processor, {max(seconds):.2f} at most{over}")


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config")
    config = parser.parse_args().config
    light()
    if config is None:
        return
    started = time.monotonic()
    lake = open_lakehouse(load(config))
    say(f"the session: {time.monotonic() - started:.1f} s, once")
    doc_id = lake.read("selected").select("doc_id").limit(1).collect()[0][0]
    student = lake.read("students").select("student_id").limit(1).collect()[0][0]
    rows = []
    plain = commands(doc_id, student)
    for command in [*plain, *([*words, "--json"] for words in plain)]:
        seconds = []
        for _ in range(TIMES):
            began = time.monotonic()
            with console.capture(), contextlib.redirect_stdout(io.StringIO()):
                code = exit_code(
                    lambda c=command: app(args=[*c, "--config", config], standalone_mode=False)
                )
            assert code == 0, command
            seconds.append(time.monotonic() - began)
        median = statistics.median(seconds)
        said = " ".join(word[:30] for word in command)
        rows.append((said, f"{median:.2f}", "" if median <= LIMIT_S else f"over {LIMIT_S:g}"))
    show_table(("command", "s", ""), rows, texts=1, title=f"Median of {TIMES}")


if __name__ == "__main__":
    main()
