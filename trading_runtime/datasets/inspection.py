"""What a dataset contains, from the manifest alone: series, windows, rows, gaps, digest."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.datasets.manifest_entries import stated_sizes
from trading_runtime.records.forms import to_document
from trading_runtime.units import format_duration, format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.datasets.manifest_entries import Gap, SeriesEntry
    from trading_runtime.datasets.manifest_index import SeriesTotals


def as_json(manifest: Manifest) -> dict[str, Any]:
    """Return the summary of a dataset for machines: instants as text, durations in nanoseconds."""
    entries = manifest.series_entries
    gaps: dict[str, list[Gap]] = {}
    for gap in manifest.gaps:
        gaps.setdefault(gap.identifier, []).append(gap)
    return {
        "digest": manifest.digest,
        "rows": manifest.rows,
        "instruments": [
            {"id": definition.id, "type": definition.type} for definition in manifest.instruments
        ],
        "series": [
            {
                "type": series.type,
                "identifier": series.identifier,
                "instrument_id": series.instrument_id,
                "rows": series.rows,
                "files": series.files,
                "row_groups": series.row_groups,
                "bytes": series.bytes,
                "first": format_instant(series.first),
                "last": format_instant(series.last),
                **_counts(entries.get(series.key)),
                "gaps": [
                    {
                        "after": format_instant(gap.after),
                        "before": format_instant(gap.before),
                        "nanoseconds": gap.before - gap.after,
                    }
                    for gap in gaps.get(series.identifier, ())
                ],
            }
            for series in manifest.series()
        ],
    }


def as_text(manifest: Manifest) -> str:
    """Return the summary of a dataset for people."""
    lines = [f"digest       {manifest.digest}", f"rows         {manifest.rows:,}"]
    lines += [
        f"instrument   {definition.id} ({definition.type})" for definition in manifest.instruments
    ]
    entries = manifest.series_entries
    for series in manifest.series():
        lines += ["", f"{series.type}  {series.identifier}"]
        facts = _facts(series, entries.get(series.key))
        lines += [f"  {name:<11}{value}" for name, value in facts]
    return "\n".join(lines)


_COUNTS = ("rounded", "snapped", "dropped", "repeated")
_STATED = {"volume": "bar", "size": "quote"}
"""Settings that state a number for all rows, and what these are."""


def _counts(entry: SeriesEntry | None) -> dict[str, Any]:
    """Return what the manifest's entry of a series counts and states, empty without any."""
    days = () if entry is None else entry.quarantined
    return {name: {} if entry is None else getattr(entry, name) for name in _COUNTS} | {
        "quarantined": [to_document(day) for day in days],
        "stated": {} if entry is None else stated_sizes(entry.settings),
    }


def _facts(series: SeriesTotals, entry: SeriesEntry | None) -> list[tuple[str, str]]:
    facts = [
        ("window", f"{format_instant(series.first)} to {format_instant(series.last)}"),
        ("rows", f"{series.rows:,}"),
        ("files", f"{series.files} ({series.row_groups} row groups, {series.bytes:,} bytes)"),
    ]
    if entry is not None:
        facts += _entry_facts(entry)
    facts.append(("gaps", f"{series.gaps:,}" if series.gaps else "none"))
    facts += [
        ("", f"{format_duration(before - after)} after {format_instant(after)}")
        for after, before in series.longest
    ]
    if series.gaps > len(series.longest):
        left = series.gaps - len(series.longest)
        facts.append(("", f"and {left:,} shorter {'one' if left == 1 else 'ones'}"))
    return facts


def _entry_facts(entry: SeriesEntry) -> Iterator[tuple[str, str]]:
    for name, value in stated_sizes(entry.settings).items():
        yield name, f"{Decimal(value):,} for every {_STATED[name]}: the files have none"
    for name, each in (("rounded", entry.rounded), ("snapped", entry.snapped)):
        counts = [f"{count:,} {column}" for column, count in each.items() if count]
        if counts:
            yield name, ", ".join(counts)
    for reason, count in entry.dropped.items():
        yield "left out", f"{_rows(count)}: {reason}"
    if entry.repeated:
        yield "repeated", f"{_rows(entry.repeated['rows'])} that the file before has"
    if days := entry.quarantined:
        first = f"{days[0].day}: {'; '.join(days[0].reasons)}"
        yield "excluded", f"{len(days):,} day{_plural(len(days))}, the first {first}"


def _rows(count: int) -> str:
    return f"{count:,} row{_plural(count)}"


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
