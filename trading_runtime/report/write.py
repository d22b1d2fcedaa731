"""Writes the report of a run: ``report.md``, ``report/index.html`` and the pictures beside it."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jinja2

from trading_runtime.report.content import content, currency_of_run
from trading_runtime.report.formatting import label
from trading_runtime.report.pictures.equity import (
    MOST_SEAMS,
    ROLLING_DAYS,
    equity_picture,
    rolling_sharpe_picture,
    two_curves_picture,
)
from trading_runtime.report.pictures.pairs import MOST_PARAMETERS, pairs_picture
from trading_runtime.report.pictures.parameters import parallel_picture, parameters_picture
from trading_runtime.report.pictures.points import (
    front_picture,
    partitions_picture,
    ranking_picture,
)
from trading_runtime.report.pictures.splits import splits_picture
from trading_runtime.report.pictures.trials import (
    importance_picture,
    logits_picture,
    progress_picture,
)
from trading_runtime.results.exact import EXACT
from trading_runtime.results.frames import varied_parameters
from trading_runtime.results.importance import best_so_far, importances
from trading_runtime.storage.files import storage_errors, write_file
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from trading_runtime.report.content import ReportInputs

FOLDER = "report"
TEMPLATES = Path(__file__).parent / "templates"


class Picture(NamedTuple):
    """A picture file of the report, what it shows in words, and the caption below it."""

    file: str
    alt: str
    caption: str


def write_report(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Write the report of ``inputs`` into the run's ``folder`` and return the files written.

    The same inputs give the same bytes. Pictures that cannot be drawn (no best point, a single
    point, a single partition) are left out, and those of an earlier report are removed.
    """
    target = folder / FOLDER
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for stale in target.glob("*.svg"):
            stale.unlink()
    written = []
    pictures: dict[str, Picture] = {}
    for name, (picture, drawn) in _pictures(inputs).items():
        pictures[name] = picture
        written.append(target / picture.file)
        write_file(written[-1], drawn)
    said = content(inputs)
    for path, template in (
        (target / "index.html", "index.html"),
        (folder / "report.md", "report.md"),
    ):
        text = (
            _environment()
            .get_template(template)
            .render(report=said, pictures=pictures, folder=FOLDER, currency=currency_of_run(inputs))
        )
        write_file(path, for_records(text).rstrip() + "\n")
        written.append(path)
    return written


def _pictures(inputs: ReportInputs) -> dict[str, tuple[Picture, bytes]]:
    metric, direction = inputs.result.objective.metric, inputs.result.objective.direction
    best = None if inputs.result.best is None else inputs.result.best.point
    found: dict[str, tuple[Picture, bytes]] = {}
    if len(inputs.curve) > 1:
        partitions = inputs.plan.partitions
        starts = sorted({partition.start for partition in partitions})
        held = _held(inputs)
        is_shown_beside = _is_shown_beside(inputs, held)
        caption = ""
        if len(starts) > 1:
            caption = (
                "Each partition starts with the initial balance: here their profits are added up, "
                "and drawdown is that of their returns one after the other."
            )
            if len(starts) <= MOST_SEAMS:
                caption += " Upright lines are the seams."
        found["equity"] = (
            Picture("equity.svg", f"Equity and drawdown of point {best} over time", caption),
            equity_picture(
                inputs.curve,
                starts[1:],
                currency_of_run(inputs),
                held if is_shown_beside else (),
            ),
        )
        if held and not is_shown_beside:
            alt = f"Equity of point {best}, and of holding the instruments"
            curves = (("point", [(each.ts, each.equity) for each in inputs.curve]), ("held", held))
            found["benchmark"] = (
                Picture("benchmark.svg", alt, ""),
                two_curves_picture(curves, currency_of_run(inputs)),
            )
    rolling = rolling_sharpe_picture(inputs.returns, _year(inputs))
    if rolling is not None:
        alt = f"Sharpe ratio of point {best} over the {ROLLING_DAYS} days before each day"
        found["rolling"] = (Picture("rolling.svg", alt, ""), rolling)
    found |= _of_search(inputs)
    front = front_picture(inputs.points, inputs.result.front)
    if front is not None:
        alt = "All points by the first two objectives, and those that none beats"
        found["front"] = (Picture("front.svg", alt, ""), front)
    over = parameters_picture(inputs.points, metric, best)
    if over is not None:
        alt = f"{label(metric)} over the parameters, as a {over.kind}"
        found["parameters"] = (Picture("parameters.svg", alt, over.caption), over.svg)
    ranks = ranking_picture(inputs.points, metric, direction, best)
    if ranks is not None:
        alt = f"{label(metric)} of all points from best to worst"
        found["ranking"] = (Picture("ranking.svg", alt, ""), ranks)
    spread = partitions_picture(inputs.results, best)
    if spread is not None:
        alt = "Return by partition, of the best point and of all points"
        found["partitions"] = (Picture("partitions.svg", alt, ""), spread)
    return found


def _of_search(inputs: ReportInputs) -> dict[str, tuple[Picture, bytes]]:
    """Return the pictures of all points together, and of what was chosen among them."""
    metric, direction = inputs.result.objective.metric, inputs.result.objective.direction
    best = None if inputs.result.best is None else inputs.result.best.point
    search = inputs.experiment.get("search") or {}
    of_metric = label(metric)
    left_out = len(varied_parameters(inputs.points)) > MOST_PARAMETERS
    split = None if inputs.result.luck is None else inputs.result.luck.overfitting
    drawn = {
        "importance": (
            f"Share of the variance of {of_metric} that each parameter explains",
            importance_picture(importances(inputs.points, metric), metric),
        ),
        "pairs": (
            f"{of_metric} over all pairs of parameters, as heat maps",
            pairs_picture(inputs.points, metric, best),
        ),
        "parallel": (
            f"The parameters of all points side by side, coloured by {of_metric}",
            parallel_picture(inputs.points, metric, direction, best),
        ),
        # The points of a grid are in no order that anything was learnt from.
        "progress": (
            f"{of_metric} of each point, and the best so far",
            progress_picture(best_so_far(inputs.points, metric, direction), metric)
            if search.get("method", "grid") != "grid"
            else None,
        ),
        "logits": (
            "Distribution of the logits of out-of-sample ranks",
            None if split is None else logits_picture(split.logits),
        ),
        "splits": (
            "Equity of the tests, and the parameters chosen for each",
            None
            if inputs.walked is None
            else splits_picture(inputs.walked, currency_of_run(inputs)),
        ),
    }
    captions = {
        "importance": "What remains of the differences between a parameter's values when chance is "
        "taken off (epsilon squared). At 0% they are no larger than chance would make them; what "
        "parameters explain only together is in no bar.",
        "pairs": "Each cell is the median of all points with its two values, or with values in its "
        "ranges, whatever their other parameters are. The best point's cells are framed."
        + (f" The {MOST_PARAMETERS} parameters that explain most." if left_out else ""),
    }
    return {
        name: (Picture(f"{name}.svg", alt, captions.get(name, "")), picture)
        for name, (alt, picture) in drawn.items()
        if picture is not None
    }


_MOST_TIMES_WIDER = 4
_BREAK = re.compile(r"(?<=/)(?=.)|(?<=[.:])(?=[A-Za-z_])")


def _is_shown_beside(inputs: ReportInputs, held: Sequence[tuple[int, Decimal]]) -> bool:
    """Return whether both lines can be read in one picture."""
    equity = [each.equity for each in inputs.curve]
    both = [*equity, *(value for _, value in held)]
    return max(both) - min(both) <= _MOST_TIMES_WIDER * (max(equity) - min(equity))


def _held(inputs: ReportInputs) -> list[tuple[int, Decimal]]:
    """Return the initial equity, had it been held in the instruments, within the curve's time."""
    if inputs.benchmark is None:
        return []
    initial, end = inputs.curve[0].equity, inputs.curve[-1].ts
    curve = inputs.benchmark.curve
    return [(min(ts, end), EXACT.multiply(initial, growth)) for ts, growth in curve]


def _year(inputs: ReportInputs) -> float | None:
    known = inputs.points["periods_per_year"].drop_nulls()
    return float(known[0]) if len(known) else None


@functools.cache
def _environment() -> jinja2.Environment:
    """Return what renders reports; a search writes several, from templates compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["parts"] = _parts
    environment.filters["cell"] = markdown_cell
    environment.filters["fence"] = markdown_fence
    return environment


def _parts(word: str) -> list[str]:
    """Return the parts of a word between which a line may break: those of paths and names."""
    return _BREAK.split(word)


def markdown_cell(text: object) -> str:
    """Return ``text`` for a Markdown table or paragraph: one line, with all markup escaped."""
    line = " ".join(str(text).split())
    for character in "\\`*_[]<>|#~$":
        line = line.replace(character, f"\\{character}")
    return line


def markdown_fence(text: str) -> str:
    """Return ``text`` as a Markdown code block with a fence longer than any inside."""
    longest = max((len(run) for run in _backtick_runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def _backtick_runs(text: str) -> list[str]:
    kept = "".join(character if character == "`" else " " for character in text)
    return kept.split()
