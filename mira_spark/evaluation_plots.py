"""A student beside the judge as plotly figures, for a page or MLflow; nothing is written.

plotly reads labels as a little HTML of its own, so every name is escaped before it becomes one.
Points are [rows, slots] of 0-10, NaN = not answered.
"""

import html
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mira_spark.evaluation import Measured
from mira_spark.reliability import Points
from mira_spark.report_plots import (
    COLUMN_PX,
    CUT_COLOUR,
    DIMENSION_LENGTH,
    FONT,
    RELIABILITY_SCALE,
    ROW_PX,
    SOURCE_LENGTH,
    WHOLE_GROUP,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

STEP = 0.5
"""Width of a bin of predicted scores, in points."""
COLOUR = "#1f5a8c"
GRID = "#e6e9ec"
LEVELS = 11
_BINS = int(10 / STEP)


def heatmap(
    measured: Sequence[Measured],
    predictor: str,
    dimensions: Sequence[str],
    reliable: Collection[tuple[str | None, int]],
) -> "Figure":
    """Spearman of a predictor by source across and slot down, the (source, slot) in `reliable`
    marked; source None is the whole group. A gap where Spearman is undefined."""
    from plotly import graph_objects as go

    cell_at = {
        (m.source, m.slot): m for m in measured if m.predictor == predictor and m.slot is not None
    }
    sources = sorted({source for source, _ in cell_at}, key=lambda source: source or "")
    slots = range(len(dimensions))
    grid = [[cell_at.get((source, slot)) for source in sources] for slot in slots]
    figure = go.Figure(
        go.Heatmap(
            z=[[cell.spearman.value if cell else None for cell in row] for row in grid],
            text=[[_told(cell, dimensions) for cell in row] for row in grid],
            hovertemplate="%{text}<extra></extra>",
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
    marked = [(x, y) for y in slots for x, source in enumerate(sources) if (source, y) in reliable]
    figure.add_scatter(
        x=[x for x, _ in marked],
        y=[y for _, y in marked],
        mode="markers",
        marker={"size": 7, "color": "#1c2126", "line": {"color": "white", "width": 1.5}},
        hoverinfo="skip",
    )
    names = [_label(source or WHOLE_GROUP, SOURCE_LENGTH) for source in sources]
    numbered = [_label(f"{slot} {dimensions[slot]}", DIMENSION_LENGTH) for slot in slots]
    _lay_out(figure, 300 + COLUMN_PX * len(sources) + 90, ROW_PX * len(dimensions) + 120)
    figure.update_layout(margin={"l": 300, "r": 90, "t": 8, "b": 112})
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, tickangle=35)
    figure.update_yaxes(tickvals=list(slots), ticktext=numbered)
    figure.update_xaxes(range=[-0.5, len(names) - 0.5], showgrid=False, zeroline=False)
    figure.update_yaxes(range=[len(numbered) - 0.5, -0.5], showgrid=False, zeroline=False)
    return figure


def calibration(predicted: Points, judged: Points) -> "Figure":
    """The judge's mean by bin of predicted score, all slots pooled, with two standard errors;
    on the diagonal a score means what it says."""
    from plotly import graph_objects as go

    guess, truth = _answered(predicted, judged)
    bins = _bins(guess)
    rows = [truth[bins == number] for number in range(_BINS)]
    filled = [number for number in range(_BINS) if len(rows[number])]
    figure = go.Figure(
        go.Scatter(
            x=[float(guess[bins == number].mean()) for number in filled],
            y=[float(rows[number].mean()) for number in filled],
            error_y={
                "array": [
                    float(2 * rows[number].std() / np.sqrt(len(rows[number]))) for number in filled
                ],
                "color": COLOUR,
                "thickness": 1,
            },
            customdata=[len(rows[number]) for number in filled],
            mode="lines+markers",
            marker={"color": COLOUR, "size": 7},
            hovertemplate="predicted %{x:.2f}, judged %{y:.2f}<br>%{customdata:,} scores"
            "<extra></extra>",
        )
    )
    _square(figure, "mean of the judge's scores, points")
    return figure


def density(predicted: Points, judged: Points) -> "Figure":
    """How many scores fall where, predicted across and judged up, all slots pooled; colour is
    logarithmic, so that rare errors show beside the many hits. What lies outside 0-10 counts in
    the outermost bins."""
    from plotly import graph_objects as go

    guess, truth = _answered(predicted, judged)
    counts = np.zeros((LEVELS, _BINS), np.int64)
    levels = np.clip(np.rint(truth), 0, LEVELS - 1).astype(np.intp)
    np.add.at(counts, (levels, _bins(guess)), 1)
    top = int(np.log10(max(counts.max(), 1))) + 1
    figure = go.Figure(
        go.Heatmap(
            x=[STEP * (number + 0.5) for number in range(_BINS)],
            y=list(range(LEVELS)),
            z=[[float(np.log10(n)) if n else None for n in row] for row in counts.tolist()],
            customdata=counts.tolist(),
            hovertemplate="predicted about %{x}, judged %{y}<br>%{customdata:,} scores"
            "<extra></extra>",
            hoverongaps=False,
            colorscale=RELIABILITY_SCALE,
            zmin=0,
            colorbar={
                "title": {"text": "scores", "side": "right"},
                "thickness": 10,
                "outlinewidth": 0,
                "tickvals": list(range(top)),
                "ticktext": [f"{10**power:,}" for power in range(top)],
            },
        )
    )
    _square(figure, "judged, points")
    return figure


def _answered(predicted: Points, judged: Points) -> tuple[Points, Points]:
    known = ~(np.isnan(predicted) | np.isnan(judged))
    return predicted[known], judged[known]


def _bins(guess: Points) -> npt.NDArray[np.intp]:
    """The bin of each predicted score; the last one has its upper end too."""
    bins: npt.NDArray[np.intp] = np.clip(guess // STEP, 0, _BINS - 1).astype(np.intp)
    return bins


def _square(figure: "Figure", title: str) -> None:
    """Points against points, the diagonal drawn."""
    _lay_out(figure, 520, 460)
    figure.add_shape(
        type="line",
        x0=0,
        y0=0,
        x1=10,
        y1=10,
        line={"color": CUT_COLOUR, "width": 1.5, "dash": "dash"},
    )
    figure.update_layout(margin={"l": 64, "r": 16, "t": 16, "b": 56})
    axis = {"range": [-0.5, 10.5], "dtick": 1, "gridcolor": GRID, "zeroline": False}
    figure.update_xaxes(title="predicted, points of 0-10", **axis)
    figure.update_yaxes(title=title, **axis)


def _label(name: str, length: int) -> str:
    return html.escape(name if len(name) <= length else f"{name[: length - 1]}…")


def _told(cell: Measured | None, dimensions: Sequence[str]) -> str:
    """What a cell says on hover."""
    if cell is None or cell.slot is None:
        return "not measured"
    rank, low, high = cell.spearman.value, cell.spearman.low, cell.spearman.high
    spearman = "undefined" if rank is None else f"{rank:.2f}"
    if low is not None and high is not None:
        spearman += f" ({low:.2f} to {high:.2f})"
    mae = "undefined" if cell.mae.value is None else f"{cell.mae.value:.2f} points"
    lines = [
        html.escape(cell.source or WHOLE_GROUP),
        html.escape(dimensions[cell.slot]),
        f"Spearman {spearman} on {cell.rows:,} validation rows",
        f"MAE {mae}",
    ]
    return "<br>".join(lines)


def _lay_out(figure: "Figure", width: int, height: int) -> None:
    figure.update_layout(
        template="none",
        width=width,
        height=height,
        font=FONT,
        showlegend=False,
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"bgcolor": "white", "font": FONT, "align": "left"},
    )
