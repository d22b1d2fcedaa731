"""What a dataset contains, from the manifest alone: series, windows, rows, gaps, digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.units import format_duration, format_instant

if TYPE_CHECKING:
    from trading_runtime.datasets.manifest import DataFile, Gap, Manifest

_MOST_GAPS = 5


@dataclass(frozen=True)
class SeriesSummary:
    """One series of a dataset."""

    type: str
    identifier: str
    instrument_id: str
    rows: int
    files: int
    row_groups: int
    bytes: int
    first: int
    """``ts_init`` of the first row, nanoseconds since the epoch."""
    last: int
    """``ts_init`` of the last row, nanoseconds since the epoch."""
    gaps: tuple[Gap, ...]
    rounded: dict[str, int]
    """Values rounded to the tick, by column."""


def summarise(manifest: Manifest) -> list[SeriesSummary]:
    """Return the series of a dataset, by type and identifier."""
    by_series: dict[tuple[str, str], list[DataFile]] = {}
    for file in manifest.files:
        by_series.setdefault((file.type, file.identifier), []).append(file)
    rounded = {key: item["rounded"] for key, item in manifest.series_entries.items()}
    gaps: dict[str, list[Gap]] = {}
    for gap in manifest.gaps:
        gaps.setdefault(gap.identifier, []).append(gap)
    return [
        SeriesSummary(
            type=kind,
            identifier=identifier,
            instrument_id=files[0].instrument_id,
            rows=sum(file.rows for file in files),
            files=len(files),
            row_groups=sum(len(file.row_groups) for file in files),
            bytes=sum(file.bytes for file in files),
            first=files[0].row_groups[0].first,
            last=files[-1].row_groups[-1].last,
            gaps=tuple(gaps.get(identifier, ())),
            rounded=rounded.get((kind, identifier), {}),
        )
        for (kind, identifier), files in sorted(by_series.items())
    ]


def as_json(manifest: Manifest) -> dict[str, Any]:
    """Return the summary of a dataset for machines: instants as text, durations in nanoseconds."""
    return {
        "digest": manifest.digest,
        "rows": manifest.rows,
        "instruments": [
            {"id": definition["id"], "type": definition["type"]}
            for definition in manifest.instruments
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
                "rounded": series.rounded,
                "gaps": [
                    {
                        "after": format_instant(gap.after),
                        "before": format_instant(gap.before),
                        "nanoseconds": gap.before - gap.after,
                    }
                    for gap in series.gaps
                ],
            }
            for series in summarise(manifest)
        ],
    }


def as_text(manifest: Manifest) -> str:
    """Return the summary of a dataset for people."""
    lines = [f"digest       {manifest.digest}", f"rows         {manifest.rows:,}"]
    lines += [
        f"instrument   {definition['id']} ({definition['type']})"
        for definition in manifest.instruments
    ]
    for series in summarise(manifest):
        lines += ["", f"{series.type}  {series.identifier}"]
        lines += [f"  {name:<11}{value}" for name, value in _facts(series)]
    return "\n".join(lines)


def _facts(series: SeriesSummary) -> list[tuple[str, str]]:
    facts = [
        ("window", f"{format_instant(series.first)} to {format_instant(series.last)}"),
        ("rows", f"{series.rows:,}"),
        ("files", f"{series.files} ({series.row_groups} row groups, {series.bytes:,} bytes)"),
    ]
    if any(series.rounded.values()):
        counts = [f"{count:,} {column}" for column, count in series.rounded.items() if count]
        facts.append(("rounded", ", ".join(counts)))
    longest = sorted(series.gaps, key=lambda gap: (gap.after - gap.before, gap.after))
    facts.append(("gaps", f"{len(longest):,}" if longest else "none"))
    facts += [
        ("", f"{format_duration(gap.before - gap.after)} after {format_instant(gap.after)}")
        for gap in longest[:_MOST_GAPS]
    ]
    if len(longest) > _MOST_GAPS:
        facts.append(("", f"and {len(longest) - _MOST_GAPS:,} shorter ones"))
    return facts
