"""A driver to be killed: it embeds texts by an endpoint on loopback, with `judge_calls` a Delta
table, and writes the vectors when all are there.

`python -m tests.embedding_driver FOLDER URL TEXTS`; in a folder with an earlier run's journal and
table it goes on from there.
"""

import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deltalake import DeltaTable

from mira_spark.embedders.endpoint import EndpointEmbedder
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.secret import Secret
from mira_spark.judges.calls.spending import Spending
from mira_spark.judges.openai_embeddings import OpenAIEmbeddings
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.judge import BudgetSettings, PacingSettings
from tests.judge_driver import FLUSH_ANSWERS, IN_FLIGHT, PRICE, append, known, without_known

AT_ONCE = 100
MAX_CHARACTERS = 6_000


def run(folder: Path, url: str, texts: int, report: Callable[[str], None]) -> None:
    """Embed texts 0 to `texts`; `report` is told of each point passed on the way."""
    table = str(folder / "judge_calls")
    settings = EmbedderSettings(kind="openai", model="stub", url=url, hosts=("127.0.0.1",))
    server = OpenAIEmbeddings(settings, Secret("none"))
    budget = Spending(BudgetSettings(), PRICE)
    pacer = Pacer(PacingSettings(in_flight=IN_FLIGHT), random.Random(0))

    def sink(opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        report(f"batch {batch}")
        append(table, (opening, batch), without_known(table, rows) if again else rows)
        report(f"batch {batch} is in the table")

    report("opening")
    if DeltaTable.is_deltatable(table):
        DeltaTable(table).optimize.compact()  # look-ups in many small files would take most time
    all_texts = [f"text {i} says what {i % 7} others say" for i in range(texts)]
    vectors: dict[str, list[float]] = {}
    with (
        Journal(folder / "judge.sqlite", sink, flush_answers=FLUSH_ANSWERS) as journal,
        Desk(server, journal, budget, pacer, run_id="run") as desk,
    ):
        report("open")
        embedder = EndpointEmbedder(server, desk, lambda keys: known(table, keys), MAX_CHARACTERS)
        for first in range(0, texts, AT_ONCE):
            some = all_texts[first : first + AT_ONCE]
            vectors |= dict(zip(some, embedder(some).tolist(), strict=True))
    (folder / "labels.json").write_text(json.dumps(vectors, sort_keys=True))


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), lambda event: None)
