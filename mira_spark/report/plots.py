"""The report's plots as plotly's JSON, which the page draws."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mira_spark.distillation import plots
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.report.groups import GroupFigures, ReportRow, SourceFigures, by

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BIN = 100
"""Width of a bar of the histogram, thousandths of a point."""
PLACES = {
    "above": ("kept", plots.COLOUR),
    "at": ("at the cut: kept up to the tie", "#8fb3d1"),
    "below": ("not kept", "#c9cdd2"),
}
Plot = dict[str, Any]
"""`data` and `layout` of a figure."""


def histograms(groups: Sequence[GroupFigures], histogram: Sequence[ReportRow]) -> dict[str, Plot]:
    """Group to the plot of its documents by quality, the cut marked; none without a score."""
    bins_of = by([r for r in histogram if r["bin"] is not None], "source_group")
    return {g.name: _plot(_histogram(bins_of[g.name], g.cuts)) for g in groups if g.name in bins_of}


def distributions(
    groups: Sequence[GroupFigures], histogram: Sequence[ReportRow]
) -> dict[str, Plot]:
    """Group to the plot of how each source's documents lie on the scale, its cut marked; none of a
    group with one scored source, whose histogram says it."""
    bins_of = by([r for r in histogram if r["bin"] is not None], "source")
    plots_of_groups = {}
    for group in groups:
        scored = [source for source in group.sources if source.name in bins_of]
        if len(scored) > 1:
            plots_of_groups[group.name] = _plot(_distributions(scored, bins_of))
    return plots_of_groups


def frontier(budgets: Sequence[ReportRow], budget_tokens: int, total_tokens: int) -> Plot | None:
    """The mean quality of what each budget would keep, the selection's budget marked; None where
    no budget is given."""
    from plotly import graph_objects as go

    shown = [row for row in budgets if row["mean_quality"] is not None]
    if not shown:
        return None
    figure = go.Figure()
    figure.add_scatter(
        x=[row["percent"] for row in shown],
        y=[row["mean_quality"] / 1000 for row in shown],
        mode="lines",
        line={"color": plots.COLOUR, "width": 2},
        hovertemplate="%{x} % of the tokens<br>mean quality %{y:.2f}<extra></extra>",
    )
    line = {"color": plots.CUT_COLOUR, "width": 1.5, "dash": "dash"}
    figure.add_vline(x=100 * budget_tokens / max(1, total_tokens), line=line)
    plots.lay_out(figure, height=260, margin={"l": 64, "r": 32, "t": 16, "b": 48})
    figure.update_xaxes(range=[0, 100], ticksuffix=" %", showgrid=False, ticks="outside")
    figure.update_xaxes(title={"text": "budget, share of the corpus' tokens", "standoff": 8})
    figure.update_yaxes(title="mean quality of what is kept", gridcolor=plots.GRID)
    return _plot(figure)


def heatmaps(students: Sequence[ReportRow], reliability: Sequence[ReportRow]) -> dict[str, Plot]:
    """Student to the plot of its agreement with the judge; none where nothing is recorded."""
    cells_of = by(reliability, "student_id")
    return {
        s["student_id"]: _plot(_heatmap(cells_of[s["student_id"]], s["dimensions"]))
        for s in students
        if s["student_id"] in cells_of
    }


def _plot(figure: "Figure") -> Plot:
    plot: Plot = json.loads(figure.to_json())
    return plot


def _histogram(bins: Sequence[ReportRow], cuts: Sequence[int]) -> "Figure":
    from plotly import graph_objects as go

    figure = go.Figure()
    for place, rows in sorted(by(bins, "place").items()):
        documents: dict[int, int] = {}
        tokens: dict[int, int] = {}
        for row in rows:
            documents[row["bin"]] = documents.get(row["bin"], 0) + row["documents"]
            tokens[row["bin"]] = tokens.get(row["bin"], 0) + row["tokens"]
        name, colour = PLACES[place]
        edges = sorted(documents)
        figure.add_bar(
            x=[(edge + BIN / 2) / 1000 for edge in edges],
            y=[documents[edge] for edge in edges],
            width=BIN / 1000,
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            customdata=[[edge / 1000, (edge + BIN) / 1000, tokens[edge]] for edge in edges],
            hovertemplate="quality %{customdata[0]:.1f} to %{customdata[1]:.1f}<br>"
            "%{y:,} documents<br>%{customdata[2]:,} tokens",
        )
    for cut in cuts:
        if cut >= 0:
            line = {"color": plots.CUT_COLOUR, "width": 1.5, "dash": "dash"}
            figure.add_vline(x=cut / 1000, line=line)
            above = {"yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False}
            text = f"cut {cut / 1000:.2f}" if len(cuts) == 1 else ""
            figure.add_annotation(x=cut / 1000, text=text, font_color=plots.CUT_COLOUR, **above)
    plots.lay_out(figure, height=260, margin={"l": 64, "r": 16, "t": 24, "b": 74})
    figure.update_layout(
        barmode="stack",
        bargap=0,
        legend={"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top", "traceorder": "normal"},
        showlegend=True,
    )
    figure.update_xaxes(range=[0, 10], dtick=1, ticks="outside", showgrid=False)
    figure.update_xaxes(title={"text": "quality, points of 0-10", "standoff": 8})
    figure.update_yaxes(title="documents", gridcolor=plots.GRID, tickformat=",")
    return figure


def _distributions(
    sources: Sequence[SourceFigures], bins_of: Mapping[str, Sequence[ReportRow]]
) -> "Figure":
    """A row for each source, light to dark by the share of its documents in each bin."""
    from plotly import graph_objects as go

    edges = range(0, FULL_SCALE, BIN)
    documents = [dict.fromkeys(edges, 0) for _ in sources]
    for own, source in zip(documents, sources, strict=True):
        for row in bins_of[source.name]:
            own[row["bin"]] += row["documents"]
    figure = go.Figure(
        go.Heatmap(
            x0=BIN / 2000,
            dx=BIN / 1000,
            z=[
                [round(n / max(1, sum(own.values())), 4) for n in own.values()] for own in documents
            ],
            customdata=[list(own.values()) for own in documents],
            hovertemplate="quality near %{x:.2f}<br>%{customdata:,} documents, %{z:.1%} of the "
            "source's<extra></extra>",
            colorscale=plots.SCALE,
            zmin=0,
            ygap=2,
            showscale=False,
        )
    )
    cuts = [(s.cut / 1000, y) for y, s in enumerate(sources) if s.cut is not None and s.cut >= 0]
    mark = {"symbol": "line-ns-open", "size": plots.ROW_PX - 4, "color": plots.CUT_COLOUR}
    figure.add_scatter(
        x=[x for x, _ in cuts],
        y=[y for _, y in cuts],
        mode="markers",
        marker=mark | {"line": {"width": 2}},
        hovertemplate="cut %{x:.2f}<extra></extra>",
    )
    margin = {"l": 150, "r": 16, "t": 8, "b": 48}
    plots.lay_out(figure, plots.ROW_PX * len(sources) + 8 + margin["b"], margin)
    names = plots.name_labels([source.name for source in sources], plots.SOURCE_LENGTH)
    figure.update_yaxes(**names, range=[len(sources) - 0.5, -0.5])
    figure.update_xaxes(range=[0, 10], dtick=1, ticks="outside", showgrid=False)
    figure.update_xaxes(title={"text": "quality, points of 0-10", "standoff": 8})
    return figure


def _heatmap(rows: Sequence[ReportRow], dimensions: Sequence[str]) -> "Figure":
    cells = {
        (row["source"], row["slot"]): plots.HeatCell(
            row["spearman"], _hover_lines(row), row["counts"]
        )
        for row in rows
    }
    return plots.heatmap(cells, dimensions, "not recorded")


def _hover_lines(row: ReportRow) -> list[str]:
    return [
        f"Spearman {_two(row['spearman'])} on {row['rows']:,} labels (the judge with itself, "
        f"rubric reversed: {_two(row['ceiling'])}); MAE {_two(row['mae'])} points",
        f"slope {row['slope']:.2f}",
        f"{'counts' if row['counts'] else 'does not count'}: {row['reason']}",
    ]


def _two(number: float | None) -> str:
    return "not known" if number is None else f"{number:.2f}"
