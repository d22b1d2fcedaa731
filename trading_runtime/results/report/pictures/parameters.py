"""The objective over the parameters: a heat map over two, a line or bars over one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.results.frames import PARAMETER_PREFIX, parameter_names
from trading_runtime.results.report.formatting import value_text
from trading_runtime.results.report.pictures.heat_map import MOST_CELLS, Cell, heat_map
from trading_runtime.results.report.pictures.over_one import over_one
from trading_runtime.results.report.pictures.scatter import scatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

_LEAST_FILLED = 0.3
_PAIR = 2


class ParameterPicture(NamedTuple):
    """A picture and what has to be said below it."""

    svg: bytes
    kind: str
    caption: str


def parameters_picture(
    points: pl.DataFrame, metric: str, best_point: int | None
) -> ParameterPicture | None:
    """Return the objective over the parameters that vary; ``None`` when none does.

    Two parameters are taken, those with the most values; the others are held at the best point's
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
    dense = len(cut) >= _LEAST_FILLED * len(xs) * len(ys)
    if len(cut) > 1 and dense and max(len(xs), len(ys)) <= MOST_CELLS:
        fixed = ", ".join(f"{name} = {value_text(_value(anchor, name))}" for name in held)
        caption = _caption(f"Held: {fixed}." if held else "", best_point, "framed")
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
        return ParameterPicture(heat_map(cells, (across, up), texts, metric), "heat map", caption)
    if not (_numeric(rows, across) and _numeric(rows, up)):
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
