"""The report of a selection: plain rows in, one self-contained HTML page out.

Nothing here reads a table and nothing the page shows comes from elsewhere than `ReportData`.
Every name and text in it is untrusted: the template escapes, and so does `report_plots`. The page
forbids the browser to load anything, and to run a script that it was not written with.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from mira_spark.errors import ConfigError
from mira_spark.report import groups as report_groups, plots
from mira_spark.report.warnings import warning_lines
from mira_spark.rubrics.audit import Audit

_Row = Mapping[str, Any]
_Rows = Sequence[_Row]

HEURISTIC = "heuristic:"
NOTHING = "\N{EN DASH}"
_PLOTLY_SCRIPT = "<script>"
"""How plotly begins the scripts of its figures."""


@dataclass(frozen=True)
class ReportData:
    """What a report shows: rows named as their tables' columns, and these besides.

    `judges`: who gave the answers that the selection's rubrics and labels are made of.
    `groups`: source, source_group, documents, tokens of every source, scored or not.
    `histogram`: documents, tokens and quality_sum (over its documents) by source_group, source,
    `bin` (lower edge, thousandths, BIN wide; None: quarantined) and `place` (above, at, below the
    cut). `judge_calls`: summed by judge, purpose and outcome, with `calls`. `examples`: see
    `groups.examples`. `student_figures` and `noise_checks`: those of whole groups. `budgets`: see
    `budgets.budget_rows`.
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
    runs: _Rows = field(default=())


def render(data: ReportData) -> str:
    """The page; it holds all it needs (some 5 MB, nearly all of it plotly.js).

    Raises ConfigError when jinja2 or plotly is not installed.
    """
    try:
        import jinja2
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ConfigError(
            f"report: needs {error.name}, which is not installed: pip install 'mira-spark[report]'"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "count": count,
        "points": points,
        "percent": percent,
        "dollars": dollars,
        "duration": duration,
        "estimate": estimate,
        "interval": interval,
    }
    page = resources.files("mira_spark.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    groups = report_groups.groups(data.groups, data.cutoffs, data.histogram)
    total = report_groups.total(groups)
    counting = {row["student_id"] for row in data.cutoffs}
    nonce = secrets.token_urlsafe(16)
    written = environment.from_string(page).render(
        data=data,
        nonce=nonce,
        groups=groups,
        total=total,
        warnings=warning_lines(groups, data.students, data.student_figures, counting),
        slider=_slider(data.budgets, groups),
        frontier=plots.frontier(data.budgets, data.selection["budget_tokens"], total.tokens),
        heuristic=any(judge.startswith(HEURISTIC) for judge in data.judges),
        histograms=plots.histograms(groups, data.histogram),
        rubrics=report_groups.by(data.rubrics, "source_group"),
        audits={audit.source_group: audit for audit in data.audits},
        agreement=report_groups.by(data.agreement, "source_group"),
        students=report_groups.by(data.students, "source_group"),
        counting=counting,
        figures=report_groups.figures(data.student_figures),
        noise=report_groups.by(data.noise_checks, "student_id"),
        heatmaps=plots.heatmaps(data.students, data.student_reliability),
        examples=report_groups.examples(data.examples),
        plotly_js=get_plotlyjs(),
    )
    return written.replace(_PLOTLY_SCRIPT, f'<script nonce="{nonce}">')


def _slider(budgets: _Rows, groups: Sequence[report_groups.GroupFigures]) -> dict[str, Any]:
    """What the slider shows, in the order of `budgets`; `kept` by source in the order of `groups`,
    documents and then tokens. No names are in it."""
    sources = [source.name for group in groups for source in group.sources]
    nothing = (0, 0)
    return {
        "percents": [row["percent"] for row in budgets],
        "tokens": [row["budget_tokens"] for row in budgets],
        "means": [row["mean_quality"] for row in budgets],
        "kept": [
            [[row["kept"].get(source, nothing)[place] for row in budgets] for place in (0, 1)]
            for source in sources
        ],
    }


def count(number: int | None) -> str:
    """With thousands separators."""
    return NOTHING if number is None else f"{number:,}"


def points(thousandths: float | None) -> str:
    """Thousandths of a point as points, two decimals."""
    return NOTHING if thousandths is None else f"{thousandths / 1000:.2f}"


def percent(share: float | None) -> str:
    """A share of 1 in per cent, one decimal."""
    return NOTHING if share is None else f"{share:.1%}"


def dollars(amount: float) -> str:
    """US dollars; four decimals below one dollar, where cents hide the cost."""
    return f"${amount:,.4f}" if 0 < amount < 1 else f"${amount:,.2f}"


def estimate(row: _Row, name: str) -> str:
    """A figure of `judge_agreement` with its interval, two decimals."""
    if row[name] is None:
        return NOTHING
    interval = row[f"{name}_interval"]
    shown = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{row[name]:.2f}{shown}"


def interval(row: _Row, name: str, prefix: str) -> str:
    """A figure of a student with its interval (columns `<prefix>low`, `<prefix>high`), two
    decimals."""
    if row[name] is None:
        return NOTHING
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    known = low is not None and high is not None
    return f"{row[name]:.2f}" + (f" ({low:.2f} to {high:.2f})" if known else "")


def duration(run: _Row) -> str:
    """How long a row of `runs` took."""
    if run["finished_at"] is None:
        return NOTHING
    seconds = round((run["finished_at"] - run["started_at"]).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
