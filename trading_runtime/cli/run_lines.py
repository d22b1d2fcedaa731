"""The lines that ``runs list`` and ``runs show`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_DIGITS = 12


def print_list(found: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each run."""
    heads = ["run", "status", "tasks ok", "failed", "age", "started", "experiment"]
    rows = [
        [
            each["run_id"],
            each["status"],
            "" if each["planned"] is None else f"{each['ok']}/{each['planned']}",
            str(each["failed"] or ""),
            "" if each["age_seconds"] is None else short_time(each["age_seconds"]),
            (each["started"] or "")[:19],
            each["experiment"] or "",
        ]
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for cells in (heads, *rows):
        line = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo("  ".join(line).rstrip())


def print_details(content: Mapping[str, Any]) -> None:
    """Print what is known of a run: the state first, what to do last."""
    pairs = list(_detail_pairs(content))
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name:<{width}}  {value}")


def short_time(seconds: float) -> str:
    """Return a length of time in the largest unit that fits, such as ``3 h``."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def _detail_pairs(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    inputs, where = content["inputs"], content["where"]
    yield "run", content["run_id"]
    yield "status", content["status"]
    yield "why", content["why"]
    if content["planned"] is not None:
        counts = ", ".join(f"{content[key]:,} {key}" for key in ("ok", "failed", "missing"))
        yield "tasks", f"{content['planned']:,} planned: {counts}"
    if content["seconds_left"] is not None:
        yield "left", f"about {short_time(content['seconds_left'])}"
    for step in content["history"]:
        yield "history", f"{step['time']}  {step['status']}"
    if content["last_event"] is not None:
        yield "last event", f"{content['last_event']['time']}  {content['last_event']['event']}"
    yield "experiment", f"{content['experiment']} ({inputs['experiment_file']})"
    yield "dataset", f"{inputs['dataset']} ({_short(inputs['dataset_digest'])})"
    yield "config", _short(inputs["config_digest"])
    yield "plan", _short(inputs["plan_digest"])
    code = inputs["code"] or {}
    yield "code", ", ".join(f"{name} {_short(value)}" for name, value in code.items())
    engine = ", ".join(f"{name} {value}" for name, value in (inputs["engine"] or {}).items())
    yield "engine", f"{engine}, Python {inputs['python']}"
    yield "where", f"{where['executor']}, {where['user']} on {where['host']}"
    if where["image"]:
        yield "image", where["image"]
    for name, value in (inputs["labels"] or {}).items():
        yield "label", f"{name}={value}"
    if content["run_digest"]:
        yield "run digest", content["run_digest"]
    for failure in content["failures"]:
        yield "failed", f"{failure['task_id'][:_DIGITS]}  {failure['kind']}: {failure['message']}"
    for step in content["next"]:
        yield "next", step


def _short(value: object) -> str:
    return str(value or "not known")[:_DIGITS]
