"""The report's plots as HTML fragments; the page brings plotly.js, once.

plotly reads labels as a little HTML of its own, so every name is escaped before it becomes one;
plotly itself escapes the JSON for its place inside a script.
"""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mira_spark.report_groups import GroupFigures, Row, by

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BIN = 100
"""Width of a bar of the histogram, thousandths of a point."""
PLACES = {
    "above": ("kept", "#1f5a8c"),
    "at": ("at the cut: kept up to the tie", "#8fb3d1"),
    "below": ("not kept", "#c9cdd2"),
}
CUT_COLOUR = "#b3372b"
WHOLE_GROUP = "whole group"
RELIABILITY_SCALE = [[0.0, "#f4f6f8"], [1.0, "#1f5a8c"]]
DIMENSION_LENGTH, SOURCE_LENGTH, UPRIGHT_LENGTH = 44, 24, 13
ROW_PX, COLUMN_PX = 21, 96
FONT = {"family": "system-ui, sans-serif", "size": 12, "color": "#1c2126"}
CONFIG = {"displayModeBar": False, "responsive": True}


def histograms(groups: Sequence[GroupFigures], histogram: Sequence[Row]) -> dict[str, str]:
    """Group to the plot of its documents by quality, the cut marked; none without a score."""
    bins_of = by([r for r in histogram if r["bin"] is not None], "source_group")
    return {
        g.name: _fragment(_histogram(bins_of[g.name], g.cuts), f"histogram-{number}")
        for number, g in enumerate(groups)
        if g.name in bins_of
    }


def heatmaps(students: Sequence[Row], reliability: Sequence[Row]) -> dict[str, str]:
    """Student to the plot of its agreement with the judge; none where nothing is recorded."""
    cells_of = by(reliability, "student_id")
    return {
        s["student_id"]: _fragment(
            _heatmap(cells_of[s["student_id"]], s["dimensions"]), f"reliability-{number}"
        )
        for number, s in enumerate(students)
        if s["student_id"] in cells_of
    }


def _fragment(figure: "Figure", place: str) -> Any:
    from markupsafe import Markup

    plot = figure.to_html(full_html=False, include_plotlyjs=False, div_id=place, config=CONFIG)
    return Markup(plot)


def _histogram(bins: Sequence[Row], cuts: Sequence[int]) -> "Figure":
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
            line = {"color": CUT_COLOUR, "width": 1.5, "dash": "dash"}
            figure.add_vline(x=cut / 1000, line=line)
            above = {"yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False}
            text = f"cut {cut / 1000:.2f}" if len(cuts) == 1 else ""
            figure.add_annotation(x=cut / 1000, text=text, font_color=CUT_COLOUR, **above)
    _lay_out(figure, height=260, margin={"l": 64, "r": 16, "t": 24, "b": 74})
    figure.update_layout(
        barmode="stack",
        bargap=0,
        legend={"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top", "traceorder": "normal"},
        showlegend=True,
    )
    figure.update_xaxes(range=[0, 10], dtick=1, ticks="outside", showgrid=False)
    figure.update_xaxes(title={"text": "quality, points of 0-10", "standoff": 8})
    figure.update_yaxes(title="documents", gridcolor="#e6e9ec", tickformat=",")
    return figure


def _heatmap(cells: Sequence[Row], dimensions: Sequence[str]) -> "Figure":
    """Sources across, slots down: a dimension's name needs the room of a line."""
    from plotly import graph_objects as go

    sources = sorted({c["source"] for c in cells}, key=lambda source: source or "")
    names = [source or WHOLE_GROUP for source in sources]
    cell_at = {(c["slot"], c["source"]): c for c in cells}
    slots = range(len(dimensions))
    grid = [[cell_at.get((slot, source)) for source in sources] for slot in slots]
    figure = go.Figure(
        go.Heatmap(
            z=[[cell["spearman"] if cell else None for cell in row] for row in grid],
            text=[[_told(cell, dimensions) for cell in row] for row in grid],
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=True,
            colorscale=RELIABILITY_SCALE,
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            colorbar={
                "title": {"text": "Spearman", "side": "right"},
                "thickness": 10,
                "outlinewidth": 0,
            },
        )
    )
    marked = [
        (x, y) for y, row in enumerate(grid) for x, c in enumerate(row) if c and c["reliable"]
    ]
    figure.add_scatter(
        x=[x for x, _ in marked],
        y=[y for _, y in marked],
        mode="markers",
        marker={"size": 7, "color": "#1c2126", "line": {"color": "white", "width": 1.5}},
        hoverinfo="skip",
    )
    slanted = any(len(name) > UPRIGHT_LENGTH for name in names)
    below = 112 if slanted else 32
    width = 300 + COLUMN_PX * len(sources) + 90
    height = ROW_PX * len(dimensions) + 8 + below
    _lay_out(figure, height, {"l": 300, "r": 90, "t": 8, "b": below})
    figure.update_layout(width=width, showlegend=False)
    figure.update_xaxes(**_labels(names, SOURCE_LENGTH), range=[-0.5, len(sources) - 0.5])
    figure.update_xaxes(tickangle=35 if slanted else 0)
    numbered = [f"{slot} {name}" for slot, name in enumerate(dimensions)]
    figure.update_yaxes(**_labels(numbered, DIMENSION_LENGTH), range=[len(dimensions) - 0.5, -0.5])
    return figure


def _labels(names: Sequence[str], length: int) -> dict[str, Any]:
    """An axis of names at 0, 1, 2, ...; a long name is cut, the page has it whole elsewhere."""
    shown = [n if len(n) <= length else f"{n[: length - 1]}…" for n in names]
    text = [html.escape(name) for name in shown]
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": text,
        "showgrid": False,
        "zeroline": False,
    }


def _told(cell: Mapping[str, Any] | None, dimensions: Sequence[str]) -> str:
    """What a cell says on hover."""
    if cell is None:
        return "not recorded"
    lines = [
        html.escape(cell["source"] or WHOLE_GROUP),
        html.escape(dimensions[cell["slot"]]),
        f"MAE {_two(cell['mae'])} points (the judge against itself: {_two(cell['judge_mae'])})",
        f"Spearman {_two(cell['spearman'])} on {cell['validation_rows']:,} validation rows",
        "reliable" if cell["reliable"] else "not reliable",
    ]
    return "<br>".join(lines)


def _two(number: float | None) -> str:
    return "not known" if number is None else f"{number:.2f}"


def _lay_out(figure: "Figure", height: int, margin: Mapping[str, int]) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin=dict(margin),
        font=FONT,
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"bgcolor": "white", "font": FONT, "align": "left"},
    )
