"""The report of a selection: plain rows in, one self-contained HTML page out.

Nothing here reads a table and nothing the page shows comes from elsewhere than `ReportData`.
Every name and text in it is untrusted: the template escapes and cuts it, and so does `plots`. The
page forbids the browser to load anything, and to run a script that it was not written with.
"""

import base64
import gzip
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from mira_spark.errors import ConfigError
from mira_spark.report import groups as report_groups, plots
from mira_spark.report.formats import FILTERS, page_text, points
from mira_spark.report.warnings import kept_lines, warning_lines
from mira_spark.rubrics.audit import Audit

_Row = Mapping[str, Any]
_Rows = Sequence[_Row]

HEURISTIC = "heuristic:"


@dataclass(frozen=True)
class ReportData:
    """What a report shows: rows named as their tables' columns, and these besides.

    `judges`: who gave the answers that the selection's rubrics and labels are made of.
    `groups`: source, source_group, documents, tokens of every source, scored or not.
    `histogram`: documents, tokens and quality_sum (over its documents) by source_group, source,
    `bin` (lower edge, thousandths, BIN wide; None: quarantined) and `place` (above, at, below the
    cut). `judge_calls`: summed by judge, purpose and outcome, with `calls`. `examples`: see
    `groups.examples`. `student_figures` and `noise_checks`: those of whole groups. `budgets`: see
    `budgets.budget_rows`. `languages`, `oversized` and `repeats`: see `warnings.kept_lines`.
    `runs`: of each step the last one, with `all_runs` and `all_seconds`, how many there were and
    what they took.
    """

    package_version: str
    selection: _Row
    judges: Sequence[str] = ()
    groups: _Rows = field(default=())
    cutoffs: _Rows = field(default=())
    histogram: _Rows = field(default=())
    rubrics: _Rows = field(default=())
    audits: Sequence[Audit] = ()
    agreement: _Rows = field(default=())
    students: _Rows = field(default=())
    student_reliability: _Rows = field(default=())
    student_figures: _Rows = field(default=())
    noise_checks: _Rows = field(default=())
    judge_calls: _Rows = field(default=())
    examples: _Rows = field(default=())
    budgets: _Rows = field(default=())
    languages: _Rows = field(default=())
    oversized: _Rows = field(default=())
    repeats: _Row = field(default_factory=dict)
    runs: _Rows = field(default=())


def render(data: ReportData) -> str:
    """The page; it holds all it needs (some 2 MB, nearly all of it plotly.js, packed).

    Raises ConfigError when jinja2 or plotly is not installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ConfigError(
            f"report: needs {error.name}, which is not installed: pip install 'mira-spark[report]'"
        ) from error
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=page_text,
    )
    environment.filters |= FILTERS
    template = environment.from_string(_packaged("page.html.j2"))
    return template.render(
        nonce=secrets.token_urlsafe(16),
        style=Markup(_packaged("page.css")),
        script=Markup(_packaged("page.js")),
        plotly=Markup(_packed(get_plotlyjs())),
        **_parts(data),
    )


def _packaged(name: str) -> str:
    return resources.files("mira_spark.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _packed(script: str) -> str:
    """In base64, of a third of the length; the page unpacks it."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _parts(data: ReportData) -> dict[str, Any]:
    """The parts of the page, under the names that the template has for them."""
    groups = report_groups.groups(data.groups, data.cutoffs, data.histogram)
    total = report_groups.total(groups)
    counting = {row["student_id"] for row in data.cutoffs}
    budget = data.selection["budget_tokens"]
    return {
        "data": data,
        "groups": groups,
        "total": total,
        "warnings": warning_lines(groups, data.students, data.student_figures, counting)
        + kept_lines(data.languages, data.oversized, data.repeats),
        "slider": _slider(data.budgets, groups) | {"budget": budget, "total": total.tokens},
        "frontier": plots.frontier(data.budgets, budget, total.tokens),
        "heuristic": any(judge.startswith(HEURISTIC) for judge in data.judges),
        "histograms": plots.histograms(groups, data.histogram),
        "distributions": plots.distributions(groups, data.histogram),
        "rubrics": report_groups.by(data.rubrics, "source_group"),
        "audits": {audit.source_group: audit for audit in data.audits},
        "agreement": report_groups.by(data.agreement, "source_group"),
        "students": report_groups.by(data.students, "source_group"),
        "counting": counting,
        "figures": report_groups.figures(data.student_figures),
        "noise": report_groups.by(data.noise_checks, "student_id"),
        "heatmaps": plots.heatmaps(data.students, data.student_reliability),
        "examples": report_groups.examples(data.examples),
    }


def _slider(budgets: _Rows, groups: Sequence[report_groups.GroupFigures]) -> dict[str, Any]:
    """What the slider shows, in the order of `budgets`; `kept` by source in the order of `groups`,
    documents and then tokens. No names are in it."""
    sources = [source.name for group in groups for source in group.sources]
    nothing = (0, 0)
    return {
        "percents": [row["percent"] for row in budgets],
        "tokens": [row["budget_tokens"] for row in budgets],
        "means": [None if (m := row["mean_quality"]) is None else points(m) for row in budgets],
        "kept": [
            [[row["kept"].get(source, nothing)[place] for row in budgets] for place in (0, 1)]
            for source in sources
        ],
    }
