"""A student beside the judge as plotly figures, for a page or MLflow; nothing is written.

Points are [rows, slots] of 0-10, NaN = not answered.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mira_spark.distillation import plots
from mira_spark.distillation.evaluation import Measured

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_Points = npt.NDArray[np.floating]

_STEP = 0.5
"""Width of a bin of predicted scores, in points."""
_LEVELS = 11
_BINS = int(10 / _STEP)


def heatmap(
    measured: Sequence[Measured],
    predictor: str,
    dimensions: Sequence[str],
    reliable: Collection[tuple[str | None, int]],
) -> "Figure":
    """Spearman of a predictor by source across and slot down, the (source, slot) in `reliable`
    marked; source None is the whole group. A gap where Spearman is undefined."""
    cells = {
        (m.source, m.slot): plots.HeatCell(
            m.spearman.value, _hover_lines(m), (m.source, m.slot) in reliable
        )
        for m in measured
        if m.predictor == predictor
    }
    return plots.heatmap(cells, dimensions, "not measured")


def calibration(predicted: _Points, judged: _Points) -> "Figure":
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
                "color": plots.COLOUR,
                "thickness": 1,
            },
            customdata=[len(rows[number]) for number in filled],
            mode="lines+markers",
            marker={"color": plots.COLOUR, "size": 7},
            hovertemplate="predicted %{x:.2f}, judged %{y:.2f}<br>%{customdata:,} scores"
            "<extra></extra>",
        )
    )
    _square(figure, "mean of the judge's scores, points")
    return figure


def density(predicted: _Points, judged: _Points) -> "Figure":
    """How many scores fall where, predicted across and judged up, all slots pooled; colour is
    logarithmic, so that rare errors show beside the many hits. What lies outside 0-10 counts in
    the outermost bins."""
    from plotly import graph_objects as go

    guess, truth = _answered(predicted, judged)
    counts = np.zeros((_LEVELS, _BINS), np.int64)
    levels = np.clip(np.rint(truth), 0, _LEVELS - 1).astype(np.intp)
    np.add.at(counts, (levels, _bins(guess)), 1)
    top = int(np.log10(max(counts.max(), 1))) + 1
    figure = go.Figure(
        go.Heatmap(
            x=[_STEP * (number + 0.5) for number in range(_BINS)],
            y=list(range(_LEVELS)),
            z=[[float(np.log10(n)) if n else None for n in row] for row in counts.tolist()],
            customdata=counts.tolist(),
            hovertemplate="predicted about %{x}, judged %{y}<br>%{customdata:,} scores"
            "<extra></extra>",
            hoverongaps=False,
            colorscale=plots.SCALE,
            zmin=0,
            colorbar=plots.colour_bar("scores")
            | {
                "tickvals": list(range(top)),
                "ticktext": [f"{10**power:,}" for power in range(top)],
            },
        )
    )
    _square(figure, "judged, points")
    return figure


def _answered(predicted: _Points, judged: _Points) -> tuple[_Points, _Points]:
    known = ~(np.isnan(predicted) | np.isnan(judged))
    return predicted[known], judged[known]


def _bins(guess: _Points) -> npt.NDArray[np.intp]:
    """The bin of each predicted score; the last one has its upper end too."""
    bins: npt.NDArray[np.intp] = np.clip(guess // _STEP, 0, _BINS - 1).astype(np.intp)
    return bins


def _square(figure: "Figure", title: str) -> None:
    """Points against points, the diagonal drawn."""
    plots.lay_out(figure, 460, {"l": 64, "r": 16, "t": 16, "b": 56}, 520)
    figure.add_shape(
        type="line",
        x0=0,
        y0=0,
        x1=10,
        y1=10,
        line={"color": plots.CUT_COLOUR, "width": 1.5, "dash": "dash"},
    )
    axis = {"range": [-0.5, 10.5], "dtick": 1, "gridcolor": plots.GRID, "zeroline": False}
    figure.update_xaxes(title="predicted, points of 0-10", **axis)
    figure.update_yaxes(title=title, **axis)


def _hover_lines(cell: Measured) -> list[str]:
    rank, low, high = cell.spearman.value, cell.spearman.low, cell.spearman.high
    spearman = "undefined" if rank is None else f"{rank:.2f}"
    if low is not None and high is not None:
        spearman += f" ({low:.2f} to {high:.2f})"
    mae = "undefined" if cell.mae.value is None else f"{cell.mae.value:.2f} points"
    return [f"Spearman {spearman} on {cell.rows:,} validation rows", f"MAE {mae}"]
