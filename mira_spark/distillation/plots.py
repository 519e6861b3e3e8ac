"""What all our plotly figures have in common, and the heat map by source and dimension.

plotly reads labels as a little HTML of its own, so every name is escaped before it becomes one.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOUR, CUT_COLOUR, GRID = "#1f5a8c", "#b3372b", "#e6e9ec"
SCALE = [[0.0, "#f4f6f8"], [1.0, COLOUR]]
WHOLE_GROUP = "whole group"
DIMENSION_LENGTH, SOURCE_LENGTH, UPRIGHT_LENGTH, HOVER_LENGTH = 44, 24, 13, 200
ROW_PX, COLUMN_PX = 21, 96
FONT = {"family": "system-ui, sans-serif", "size": 12, "color": "#1c2126"}


@dataclass(frozen=True)
class HeatCell:
    """Spearman of a source and slot (None: a gap), the lines said of it on hover below its names,
    and whether it is marked."""

    spearman: float | None
    lines: Sequence[str]
    marked: bool


def heatmap(
    cells: Mapping[tuple[str | None, int], HeatCell], dimensions: Sequence[str], absent: str
) -> "Figure":
    """The cells by source across (None, first: the whole group) and slot down: a dimension's name
    needs the room of a line. `absent` is said where there is no cell."""
    from plotly import graph_objects as go

    sources = sorted({source for source, _ in cells}, key=lambda source: source or "")
    slots = range(len(dimensions))
    grid = [[cells.get((source, slot)) for source in sources] for slot in slots]

    def hover_text(source: str | None, slot: int) -> str:
        cell = cells.get((source, slot))
        lines = [source or WHOLE_GROUP, dimensions[slot], *cell.lines] if cell else [absent]
        return "<br>".join(_label(line, HOVER_LENGTH) for line in lines)

    figure = go.Figure(
        go.Heatmap(
            z=[[cell.spearman if cell else None for cell in row] for row in grid],
            text=[[hover_text(source, slot) for source in sources] for slot in slots],
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=True,
            colorscale=SCALE,
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            colorbar=colour_bar("Spearman"),
        )
    )
    marked = [(x, y) for y, row in enumerate(grid) for x, c in enumerate(row) if c and c.marked]
    figure.add_scatter(
        x=[x for x, _ in marked],
        y=[y for _, y in marked],
        mode="markers",
        marker={"size": 7, "color": "#1c2126", "line": {"color": "white", "width": 1.5}},
        hoverinfo="skip",
    )
    _name_axes(figure, [source or WHOLE_GROUP for source in sources], dimensions)
    return figure


def colour_bar(title: str) -> dict[str, Any]:
    """The scale beside a heat map."""
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0}


def lay_out(
    figure: "Figure", height: int, margin: Mapping[str, int], width: int | None = None
) -> None:
    """Sizes in pixels, our font, a white ground, no legend; without a width it fills the page's."""
    figure.update_layout(
        template="none",
        width=width,
        height=height,
        margin=dict(margin),
        font=FONT,
        showlegend=False,
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"bgcolor": "white", "font": FONT, "align": "left"},
    )


def _name_axes(figure: "Figure", sources: Sequence[str], dimensions: Sequence[str]) -> None:
    """Give the heat map its names, and the room that they need."""
    slanted = any(len(name) > UPRIGHT_LENGTH for name in sources)
    below = 112 if slanted else 32
    width = 300 + COLUMN_PX * len(sources) + 90
    height = ROW_PX * len(dimensions) + 8 + below
    lay_out(figure, height, {"l": 300, "r": 90, "t": 8, "b": below}, width)
    figure.update_xaxes(**name_labels(sources, SOURCE_LENGTH), range=[-0.5, len(sources) - 0.5])
    figure.update_xaxes(tickangle=35 if slanted else 0)
    numbered = [f"{slot} {name}" for slot, name in enumerate(dimensions)]
    figure.update_yaxes(
        **name_labels(numbered, DIMENSION_LENGTH), range=[len(dimensions) - 0.5, -0.5]
    )


def name_labels(names: Sequence[str], length: int) -> dict[str, Any]:
    """An axis of names at 0, 1, 2, ...; a long name is cut, hovering shows more of it."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [_label(name, length) for name in names],
        "showgrid": False,
        "zeroline": False,
    }


def _label(text: str, length: int) -> str:
    return html.escape(text if len(text) <= length else f"{text[: length - 1]}…")
