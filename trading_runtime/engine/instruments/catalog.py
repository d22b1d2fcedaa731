"""Instrument definitions in a Nautilus catalog's folder: written and read by the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.engine.instruments.definitions import build_instruments, definition_of
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trading_runtime.records.instruments import InstrumentDefinition


def write_instruments(folder: Path, definitions: Sequence[InstrumentDefinition]) -> list[Path]:
    """Write definitions into the catalog in ``folder`` and return the files.

    Raises ``DataError`` when the engine does not accept a definition.
    """
    if not definitions:
        return []
    catalog = ParquetDataCatalog(str(folder.absolute()))
    try:
        written = catalog.write_instruments(build_instruments(definitions))
    except RuntimeError as error:
        # Whatever goes wrong in the engine while it writes; its text replaces a system's message.
        raise OSError(None, " ".join(str(error).split())[:200], str(folder)) from error
    return [folder / path for path in written]


def read_catalog_instruments(folder: Path) -> list[InstrumentDefinition]:
    """Return the definitions in the catalog in ``folder``, the newest per id, sorted by id.

    Raises ``DataError`` when the engine cannot read them.
    """
    try:
        instruments = ParquetDataCatalog(str(folder.absolute())).instruments()
    except (OSError, ValueError, RuntimeError) as error:
        brief = " ".join(str(error).split())[:200]
        raise DataError(f"{folder}: the engine cannot read the instruments: {brief}") from error
    newest: dict[str, InstrumentDefinition] = {}
    for instrument in sorted(instruments, key=lambda item: item.ts_init):
        newest[str(instrument.id)] = definition_of(instrument)
    return [newest[name] for name in sorted(newest)]
