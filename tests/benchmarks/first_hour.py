"""Seconds from a JSON Lines file of one's own to a selected view: `mira init`, `mira run`, a query.

`python -m tests.benchmarks.first_hour [--documents N]` makes the file of the Python files that
are installed, in columns that are not called as ours, and prints what each command took.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mira_spark.corpus import python_environment
from mira_spark.corpus.python_environment import CorpusLimits
from mira_spark.process.progress import say

SOURCES = ("stdlib_code", "type_stubs", "docstring_qa", "c_headers", "package_code",
           "package_tests")  # fmt: skip
QUERY = "select source, count(*) as documents, sum(n_tokens) as tokens from selected group by 1"


def write_documents(file: Path, count: int) -> int:
    """A line for each of at most `count` documents, sources in equal parts; how many there are."""
    limits = CorpusLimits(count // len(SOURCES), 1 << 30)
    files = python_environment.find_files(python_environment.this_environment(), limits)
    chosen = [each for each in files if each.source in SOURCES]
    with file.open("w", encoding="utf-8") as lines:
        written = 0
        for document in python_environment.documents(chosen, limits):
            row = {
                "uid": document.doc_id,
                "dataset": document.source,
                "body": document.text.decode(errors="replace"),
                "repo": document.domain,
            }
            lines.write(json.dumps(row) + "\n")
            written += 1
    return written


def main() -> None:
    """Print the seconds of each command and of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5_300)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "documents.jsonl"
        count = write_documents(file, parser.parse_args().documents)
        say(f"{count:,} documents, {file.stat().st_size:,} bytes")
        commands = (
            ["init", str(file), "--yes"],
            ["run", "--config", "mira.yaml"],
            ["sql", QUERY, "--config", "mira.yaml"],
        )
        begin = time.monotonic()
        for command in commands:
            before = time.monotonic()
            subprocess.run([sys.executable, "-m", "mira_spark", *command], cwd=folder, check=True)
            say(f"mira {command[0]}: {time.monotonic() - before:.0f} s")
        say(f"from the file to the answer: {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
