"""`mira plan`: what the steps that are still to run will take."""

import math
from functools import partial
from typing import Annotated

import typer

from mira_spark.cli.options import AsJson, ConfigOption, Overrides
from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.errors import ConfigError
from mira_spark.process.progress import give_answer
from mira_spark.settings.root import load


def _amount(text: str) -> float:
    """Of an option: more than 0, finite."""
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise typer.BadParameter(f"should be a number above 0, found {text!r}")
    return amount


def _count(text: str) -> int:
    """Of an option: a whole number from 1 on, which may be written 10_000_000 or 1e7."""
    amount = _amount(text)
    if amount != int(amount):
        raise typer.BadParameter(f"should be a whole number, found {text!r}")
    return int(amount)


_HELP = "of a corpus that is not taken in, planned without tables, with the other three"
Count = Annotated[int | None, typer.Option(parser=_count, metavar="N", help=_HELP)]


def plan_command(
    config: ConfigOption = None,
    overrides: Overrides = None,
    within: Annotated[
        float | None,
        typer.Option(parser=_amount, metavar="HOURS", help="executors that score in so many hours"),
    ] = None,
    documents: Count = None,
    tokens: Count = None,
    bytes_: Annotated[
        int | None, typer.Option("--bytes", parser=_count, metavar="N", help=_HELP)
    ] = None,
    sources: Count = None,
    as_json: AsJson = False,
) -> None:
    """What is still to do: the judge's calls, dollars and hours, labels, hours of distillation and
    of scoring, units, what tables grow by; sends nothing."""
    settings = load(config, overrides or ())
    corpus = _supposed_corpus(documents, tokens, bytes_, sources)
    from mira_spark.cli import plan_pipeline

    if corpus is None:
        plan = plan_pipeline.plan_lake(settings, within)
    else:
        plan = plan_pipeline.plan_supposed(settings, corpus, within)
    give_answer(plan, partial(plan_pipeline.show_plan, settings), as_json)


def _supposed_corpus(*counts: int | None) -> CorpusSize | None:
    """None where nothing is supposed; ConfigError where some of it is missing or cannot be."""
    given = [count for count in counts if count is not None]
    if not given:
        return None
    if len(given) < len(counts):
        named = zip(("documents", "tokens", "bytes", "sources"), counts, strict=True)
        missing = ", ".join(f"--{name}" for name, count in named if count is None)
        raise ConfigError(f"a corpus that is not taken in needs {missing}, too")
    corpus = CorpusSize(*given)
    if corpus.sources > corpus.documents:
        raise ConfigError(
            f"--sources: {corpus.sources:,} are more than --documents, {corpus.documents:,}"
        )
    return corpus
