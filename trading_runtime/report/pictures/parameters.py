"""The objective over the parameters: over one, over two, and over all side by side."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.report.formatting import in_sentence, label, value_text
from trading_runtime.report.pictures.canvas import (
    BLUE,
    EMPTY,
    GOLD,
    INK,
    QUIET,
    RULE,
    WIDTH,
    Canvas,
    Colours,
    cell_places,
    colours_for,
    form_of,
    is_dark,
    shortened,
    text_width,
    tick,
)
from trading_runtime.report.pictures.panel import (
    EDGE,
    NAME_HEIGHT,
    TICKS_HEIGHT,
    TITLE_HEIGHT,
    AxisScale,
    Panel,
    left_of,
    thinned,
    value_ticks,
    widened,
)
from trading_runtime.results.frames import (
    PARAMETER_PREFIX,
    parameter_names,
    ranked,
    varied_parameters,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl


MOST_CELLS = 60
"""Most values on one axis of a heat map; with more, or with most cells empty, dots are drawn."""
_MOST_NUMBERS = 180
_MOST_TICKS = 20
_LEAST_ROOM = 40.0
_CELL_HEIGHT = 30.0
_LEAST_HEIGHT, _MOST_HEIGHT = 110.0, 460.0
_LONGEST_TEXT = 120.0
_BAR_WIDTH = 11.0
_BAR_TEXT_WIDTH = 46.0


class Cell(NamedTuple):
    """A value at a column and a row, both counted from the lower left."""

    column: int
    line: int
    value: float
    is_best: bool


def heat_map(
    cells: Sequence[Cell],
    names: tuple[str, str],
    texts: tuple[Sequence[str], Sequence[str]],
    metric: str,
) -> bytes:
    """Return the picture; ``names`` and ``texts`` are those of the columns and of the rows."""
    lines = [shortened(text, _LONGEST_TEXT) for text in texts[1]]
    height = min(_MOST_HEIGHT, max(_LEAST_HEIGHT, _CELL_HEIGHT * len(lines)))
    columns = texts[0]
    head, left = EDGE + TITLE_HEIGHT, left_of(lines) + NAME_HEIGHT
    foot, right = head + height, right_of_plot()
    canvas = Canvas(foot + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(
        canvas, AxisScale(0, len(columns), left, right), AxisScale(0, len(lines), foot, head)
    )
    colours = colours_for([cell.value for cell in cells])
    canvas.box((left, head), (right - left, height), EMPTY)
    has_numbers = len(columns) * len(lines) <= _MOST_NUMBERS
    gap = 1.2 if max(len(columns), len(lines)) <= MOST_CELLS // 2 else 0.5
    width, tall = panel.x.place(1) - left, foot - panel.y.place(1)
    places = cell_places([cell.value for cell in cells], form_of(metric))
    for cell in cells:
        corner = (panel.x.place(cell.column), panel.y.place(cell.line + 1))
        colour = colours.of(cell.value)
        canvas.box(corner, (width, tall), colour, "white", gap)
        if has_numbers:
            text = tick(cell.value, form_of(metric), places=places)
            middle = (corner[0] + width / 2, corner[1] + tall / 2 + 2.9)
            size = min(8.0, 8.0 * (width - 2) / text_width(text, 8.0))
            written = "white" if is_dark(colour) else INK
            canvas.text(middle, text, written, anchor="middle", size=round(size, 1))
    for cell in cells:
        if cell.is_best:
            corner = (panel.x.place(cell.column), panel.y.place(cell.line + 1))
            canvas.box(corner, (width, tall), "none", GOLD, 2.6)
    room = max(width, _LEAST_ROOM)
    below = [(place, shortened(text, room)) for place, text in _middles(columns)]
    panel.write_below(below, names[0])
    panel.write_beside(_middles(lines))
    panel.write_name_beside(names[1])
    panel.title(f"{label(metric)} over {names[0]} and {names[1]}")
    draw_colour_bar(panel, colours, metric)
    return canvas.svg()


def draw_colour_bar(panel: Panel, colours: Colours, metric: str) -> None:
    """Draw the colour bar, to the right of a panel that leaves room for it."""
    left, head, foot = panel.x.end + _BAR_WIDTH, panel.y.end, panel.y.start
    panel.canvas.gradient((left, head), (_BAR_WIDTH, foot - head), colours.colours)
    along = AxisScale(colours.low, colours.high, foot, head)
    for value, text in value_ticks(colours.low, colours.high, foot - head, form_of(metric)):
        panel.canvas.text((left + _BAR_WIDTH + 4, along.place(value) + 3.2), text, QUIET)


def right_of_plot() -> float:
    """Return the right edge of a plot with a colour bar to its right."""
    return WIDTH - EDGE - _BAR_TEXT_WIDTH - 2 * _BAR_WIDTH


def _middles(texts: Sequence[str]) -> list[tuple[float, str]]:
    step = -(-len(texts) // _MOST_TICKS)
    return [(place + 0.5, texts[place]) for place in range(0, len(texts), step)]


_SCATTER_HEIGHT = 230.0


def scatter(
    dots: Sequence[tuple[float, float, float, bool]], names: tuple[str, str], metric: str
) -> bytes:
    """Return the picture; a dot is its two parameters, its value, and whether it is the best."""
    across, up = (widened([dot[axis] for dot in dots]) for axis in (0, 1))
    beside = value_ticks(*up, _SCATTER_HEIGHT, "plain")
    head, left = EDGE + TITLE_HEIGHT, left_of(text for _, text in beside) + NAME_HEIGHT
    canvas = Canvas(head + _SCATTER_HEIGHT + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(
        canvas,
        AxisScale(*across, left, right_of_plot()),
        AxisScale(*up, head + _SCATTER_HEIGHT, head),
    )
    below = value_ticks(*across, (panel.x.end - left) / 2, "plain")
    panel.grid(value for value, _ in beside)
    panel.grid((value for value, _ in below), upright=True)
    panel.write_beside(beside)
    panel.write_below(below, names[0])
    panel.write_name_beside(names[1])
    colours = colours_for([value for _, _, value, _ in dots])
    for x, y, value, _ in dots:
        canvas.dot((panel.x.place(x), panel.y.place(y)), 2.5, colours.of(value), QUIET, 0.4)
    for x, y, _, is_best in dots:
        if is_best:
            canvas.dot((panel.x.place(x), panel.y.place(y)), 5.2, "none", GOLD, 2.2)
    panel.title(f"{label(metric)} over {names[0]} and {names[1]}")
    draw_colour_bar(panel, colours, metric)
    return canvas.svg()


_PLOT_HEIGHT = 145.0
_MOST_DOTS = 150


def over_one(
    dots: Sequence[tuple[float, float, bool]],
    texts: Sequence[tuple[float, str]],
    name: str,
    metric: str,
    *,
    as_bars: bool,
) -> bytes:
    """Return the picture; a dot is its place, its value, and whether it is the best.

    ``texts`` are the parameter's values as they are written, by their places.
    """
    dots = sorted(dots)
    places, heights = [dot[0] for dot in dots], [dot[1] for dot in dots]
    low, high = widened([0, *heights] if as_bars else heights)
    shown = value_ticks(low, high, _PLOT_HEIGHT, form_of(metric))
    head, left = EDGE + TITLE_HEIGHT, left_of(text for _, text in shown)
    bounds = (-0.7, len(texts) - 0.3) if as_bars else widened(places, 0.03)
    canvas = Canvas(head + _PLOT_HEIGHT + TICKS_HEIGHT + NAME_HEIGHT + EDGE)
    panel = Panel(
        canvas,
        AxisScale(*bounds, left, WIDTH - EDGE),
        AxisScale(low, high, head + _PLOT_HEIGHT, head),
    )
    width = panel.x.place(1) - panel.x.place(0)
    if as_bars:
        texts = [(place, shortened(text, max(width, _LEAST_ROOM))) for place, text in texts]
    elif len(texts) > _MOST_TICKS:
        texts = value_ticks(*bounds, (panel.x.end - left) / 2, "plain")
    panel.grid(value for value, _ in shown)
    panel.write_beside(shown)
    panel.write_below(texts, name)
    if as_bars:
        half = 0.3 * width
        zero = panel.y.place(0)
        for place, height, _ in dots:
            x, y = panel.x.place(place), panel.y.place(height)
            canvas.box((x - half, min(y, zero)), (2 * half, abs(y - zero)), BLUE)
    else:
        panel.grid((place for place, _ in texts), upright=True)
        kept = thinned(heights)
        line = panel.places((places[i] for i in kept), (heights[i] for i in kept))
        canvas.polyline(line, BLUE, 1.3)
        if len(dots) <= _MOST_DOTS:
            for centre in line:
                canvas.dot(centre, 2, BLUE)
    if low < 0 < high:
        panel.level(0, INK, 0.7)
    for place, height, is_best in dots:
        if is_best:
            canvas.dot((panel.x.place(place), panel.y.place(height)), 4, GOLD)
    panel.title(f"{label(metric)} over {name}")
    return canvas.svg()


_LEAST_FILLED = 0.3
_PAIR = 2


class ParameterPicture(NamedTuple):
    """A picture and its caption."""

    svg: bytes
    kind: str
    caption: str


def parameters_picture(
    points: pl.DataFrame, metric: str, best_point: int | None
) -> ParameterPicture | None:
    """Return the objective over the parameters that vary; ``None`` when none does.

    The two parameters with the most values are used; the others are fixed at the best point's
    values (at the first point's when there is none).
    """
    varying = varying_parameters(points)
    rows = [row for row in points.iter_rows(named=True) if row[metric] is not None]
    if not varying or len(rows) < _PAIR:
        return None
    if len(varying) == 1:
        return _over_one(rows, varying[0], metric, best_point)
    across, up = sorted(varying[:_PAIR], key=varying.index)
    anchor = next((row for row in rows if row["point"] == best_point), rows[0])
    held = varying[_PAIR:]
    cut = [row for row in rows if all(_value(row, name) == _value(anchor, name) for name in held)]
    xs, ys = _axis_values(cut, across), _axis_values(cut, up)
    are_numeric = _numeric(rows, across) and _numeric(rows, up)
    # Of points that were drawn, a cut may leave a few that look like a map of all of them.
    whole = len(_axis_values(rows, across)) * len(_axis_values(rows, up))
    dense = len(cut) >= _LEAST_FILLED * whole or not are_numeric
    if len(cut) > 1 and dense and max(len(xs), len(ys)) <= MOST_CELLS:
        fixed = ", ".join(f"{name} = {value_text(_value(anchor, name))}" for name in held)
        caption = _caption(f"Held: {fixed}." if held else "", best_point, "framed")
        if len(cut) < len(xs) * len(ys):
            caption += (
                " Grey: combinations that are no point, left out by constraints or sampling, or "
                f"whose {in_sentence(metric)} is undefined."
            )
        cells = [
            Cell(
                xs.index(_value(row, across)),
                ys.index(_value(row, up)),
                float(row[metric]),
                row["point"] == best_point,
            )
            for row in cut
        ]
        texts = list(map(value_text, xs)), list(map(value_text, ys))
        return ParameterPicture(
            heat_map(cells, (across, up), texts, metric), "heat map", caption.strip()
        )
    if not are_numeric:
        return None
    caption = f"Each dot is a point; {', '.join(held)} vary as well." if held else ""
    caption = _caption(caption, best_point, "ringed")
    dots = [
        (
            float(_value(row, across)),
            float(_value(row, up)),
            float(row[metric]),
            row["point"] == best_point,
        )
        for row in rows
    ]
    return ParameterPicture(scatter(dots, (across, up), metric), "scatter", caption)


def _caption(text: str, best_point: int | None, how: str) -> str:
    return f"{text} {f'The best point is {how}.' if best_point is not None else ''}".strip()


def varying_parameters(points: pl.DataFrame) -> list[str]:
    """Return the parameters with more than one value, those with the most values first."""
    names = parameter_names(points.columns)
    counts = {name: points[PARAMETER_PREFIX + name].n_unique() for name in names}
    return sorted((name for name in names if counts[name] > 1), key=lambda name: -counts[name])


def _over_one(
    rows: Sequence[Mapping[str, Any]], name: str, metric: str, best_point: int | None
) -> ParameterPicture:
    values = _axis_values(rows, name)
    is_numeric = _numeric(rows, name)
    places = {value: float(value) if is_numeric else float(n) for n, value in enumerate(values)}
    dots = [
        (places[_value(row, name)], float(row[metric]), row["point"] == best_point) for row in rows
    ]
    texts = [(places[value], value_text(value)) for value in values]
    picture = over_one(dots, texts, name, metric, as_bars=not is_numeric)
    return ParameterPicture(picture, "line" if is_numeric else "bar chart", "")


def _value(row: Mapping[str, Any], name: str) -> Any:
    return row[PARAMETER_PREFIX + name]


def _numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return all(
        isinstance(_value(row, name), int | float | Decimal)
        and not isinstance(_value(row, name), bool)
        for row in rows
    )


def _axis_values(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    found = list(dict.fromkeys(_value(row, name) for row in rows))
    return sorted(found) if _numeric(rows, name) else found


_HEIGHT = 240.0
_FEWEST = 3
_MOST_LINES = 400
_MOST_TEXTS = 9
_LEFT = 70.0
_LONGEST_VALUE = 60.0


def parallel_picture(
    points: pl.DataFrame, metric: str, direction: str, best_point: int | None
) -> bytes | None:
    """Return the picture; ``None`` for fewer than three parameters that vary.

    Better points are drawn over worse ones. Of many points some are left out, evenly by rank.
    """
    names = varied_parameters(points)
    known = ranked(points.drop_nulls(metric), metric, direction)
    if len(names) < _FEWEST or not known.height:
        return None
    kept = known.gather_every(-(-known.height // _MOST_LINES)).reverse()
    values = [float(value) for value in kept[metric]]
    colours = colours_for(values)
    head = EDGE + TITLE_HEIGHT
    canvas = Canvas(head + _HEIGHT + 2 * TICKS_HEIGHT + EDGE)
    panel = Panel(
        canvas,
        AxisScale(0, len(names) - 1, _LEFT, right_of_plot() - _LEFT / 2),
        AxisScale(0, 1, head + _HEIGHT, head),
    )
    scales = [_heights(points[PARAMETER_PREFIX + name]) for name in names]
    for row, value in zip(kept.iter_rows(named=True), values, strict=True):
        heights = [
            scale[row[PARAMETER_PREFIX + name]] for name, scale in zip(names, scales, strict=True)
        ]
        places = panel.places(range(len(names)), heights)
        if row["point"] != best_point:
            canvas.polyline(places, colours.of(value), 0.9)
        else:
            best = places
    legend = []
    if best_point is not None and best_point in kept["point"]:
        canvas.polyline(best, GOLD, 2.4)
        legend.append((f"best: point {best_point}", panel.sample_line(GOLD, 2.4)))
    for place, (name, scale) in enumerate(zip(names, scales, strict=True)):
        x = panel.x.place(place)
        canvas.line((x, panel.y.start), (x, panel.y.end), RULE, 1)
        step = -(-len(scale) // _MOST_TEXTS)
        for value, height in [*scale.items()][::step]:
            text = shortened(value_text(value), _LONGEST_VALUE)
            y, width = panel.y.place(height), text_width(text)
            canvas.box((x - width - 5, y - 6), (width + 3, 12), "white")
            canvas.text((x - 4, y + 3), text, INK, anchor="end")
        canvas.text((x, panel.y.start + TICKS_HEIGHT), name, INK, anchor="middle")
    panel.title(f"{label(metric)} of points, by their parameters")
    panel.legend(legend)
    draw_colour_bar(panel, colours, metric)
    return canvas.svg()


def _heights(column: pl.Series) -> dict[Any, float]:
    """Return where each value is on its axis, from 0 to 1; values in their order, evenly spaced."""
    values = column.unique().sort().to_list()
    return {value: place / (len(values) - 1) for place, value in enumerate(values)}
