"""The commands of ``trading-runtime data`` that import vendors' files and append to datasets."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.options import JSON
from trading_runtime.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.formats import Format
    from trading_runtime.datasets.instrument_facts import InstrumentFacts

_FILE = click.Path(path_type=Path)


@contextlib.contextmanager
def lean_process() -> Iterator[None]:
    """Run a command that makes a dataset in a process with room for a lot of data, if possible."""
    from trading_runtime.datasets.series_processes import settled_process
    from trading_runtime.engine.instruments.apart import engine_apart

    with engine_apart() as is_apart, settled_process() if is_apart else contextlib.nullcontext():
        yield


@click.command(name="import")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--format",
    "format_name",
    help="A name of 'data formats', or a file; guessed from the first file if not given.",
)
@click.option("--instrument", required=True, help="Id of the instrument: SYMBOL.VENUE.")
@click.option(
    "--to", "folder", help="Folder or S3 address of the dataset; data/INSTRUMENT if not given."
)
@click.option("--bar", help="Length and price of bars, such as 1-MINUTE-LAST.")
@click.option("--time-zone", help="Zone of the times in the files, such as Europe/Berlin.")
@click.option("--symbol", help="The instrument's name in files of several.")
@click.option("--tick", help="Price increment, such as 0.01; else by the digits in the files.")
@click.option("--lot", help="Size increment, such as 0.001; else by the digits in the files.")
@click.option("--currency", help="Currency of prices, where the symbol does not tell it.")
@click.option("--instruments", type=_FILE, help="Instrument file that defines the instrument.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="A further setting.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def import_(  # noqa: PLR0913 - one for each option
    *,
    files: tuple[str, ...],
    format_name: str | None,
    instrument: str,
    folder: str | None,
    bar: str | None,
    time_zone: str | None,
    symbol: str | None,
    tick: str | None,
    lot: str | None,
    currency: str | None,
    instruments: Path | None,
    changes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a dataset from a vendor's FILES, or append their new rows to it.

    FILES are paths or patterns. No settings file is needed: the format says how the files are read;
    without one, what a file does not show is asked for. When the dataset already exists, only new
    rows are added.
    """
    click.get_current_context().with_resource(lean_process())
    from trading_runtime.datasets.formats import find_format
    from trading_runtime.datasets.guessing import format_like
    from trading_runtime.datasets.importing import ImportOptions, plan_import
    from trading_runtime.datasets.remote_files import is_address
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.errors import DataError

    stated = dict(map(_setting, changes))
    seen: list[str] = []
    if format_name is not None:
        form = find_format(format_name)
    else:
        given = stated | ({"time_zone": time_zone} if time_zone is not None else {})
        form, seen = _guessed(files[0], instrument, given)
    target = folder or f"data/{instrument.replace('/', '')}"
    known, known_bars = _known(target, instrument, instruments, tick, lot)
    is_inverse = instrument in known and known[instrument].definition.is_inverse
    options = ImportOptions(
        *(instrument, bar, time_zone, symbol, tick, lot, currency, stated, known_bars, is_inverse)
    )
    try:
        planned = plan_import(form, files, options, defines=instrument not in known)
    except DataError as error:
        other = None if is_address(files[0]) else format_like(Path(files[0]))
        hint = f"{files[0]}: has the columns of {other}; give --format {other}"
        if other is None or other == format_name:
            if form.also is None:
                raise
            hint = f"{files[0]}: may be a file of --format {form.also}"
        raise DataError(f"{error}\n{hint}") from error
    if planned.instrument is not None:
        known[instrument] = ask_engine("define_instrument", planned.instrument)
    for line in (*seen, *planned.found) if not as_json else ():
        say(line)
    _make_or_grow(planned.loaded, known, target, as_json=as_json)


def _known(
    target: str, instrument: str, file: Path | None, tick: str | None, lot: str | None
) -> tuple[dict[str, InstrumentFacts], tuple[str, ...]]:
    """Return the instruments of a file, or of the dataset, and the bars that the dataset has."""
    from trading_runtime.datasets.importing import bars_of, has_increments
    from trading_runtime.datasets.manifest import MANIFEST_NAME, load_manifest
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.errors import UsageError
    from trading_runtime.storage.folders import open_folder

    known: dict[str, InstrumentFacts] = {}
    if file is not None:
        known = ask_engine("read_instruments", [file])
        if instrument not in known:
            raise UsageError(f"{file}: does not define {instrument!r}")
    if not open_folder(target).has(MANIFEST_NAME):
        return known, ()
    manifest = load_manifest(target)
    if file is None:
        known = ask_engine("facts_by_id", manifest.instruments)
        if instrument in known and not has_increments(known[instrument], tick, lot):
            del known[instrument]  # stated otherwise: refused where the two are compared
    return known, bars_of(manifest, instrument)


def _guessed(file: str, instrument: str, given: Mapping[str, Any]) -> tuple[Format, list[str]]:
    """Return the format that ``file`` seems to have, and lines that say so."""
    from trading_runtime.datasets.guessing import guess_format
    from trading_runtime.datasets.remote_files import is_address
    from trading_runtime.errors import UsageError

    if is_address(file):
        raise UsageError(
            f"--format is missing: that of {file} can be guessed only once it is a local file"
        )
    form, found = guess_format(Path(file), instrument, given)
    # The import states increments and bars itself, from more rows.
    shown = [(name, value) for name, value in found.seen if name not in {"tick", "lot", "bar"}]
    return form, [f"{name:<12} {value}" for name, value in shown]


@click.command()
@click.argument("file", type=_FILE)
@click.option("--to", "folder", help="Folder of the dataset to add to, or its address in S3.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def append(file: Path, folder: str | None, *, as_json: bool) -> None:
    """Append to a dataset the new rows of the raw files that the data file FILE names.

    Existing files stay as they are, so tasks of earlier windows keep their results. A row that came
    late or was changed is refused with its location.
    """
    click.get_current_context().with_resource(lean_process())
    from trading_runtime.datasets.data_file import load_preparation
    from trading_runtime.datasets.manifest import load_manifest
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.errors import UsageError

    loaded = load_preparation(file)
    target = folder or loaded.dataset
    if target is None:
        raise UsageError(f"{file}: names no 'dataset' to add to; add it, or give --to FOLDER")
    load_manifest(target)
    known = ask_engine("read_instruments", loaded.instrument_files)
    _make_or_grow(loaded, known, str(target), as_json=as_json)


def _make_or_grow(
    loaded: LoadedPreparation,
    instruments: Mapping[str, InstrumentFacts],
    place: str,
    *,
    as_json: bool,
) -> None:
    from trading_runtime.cli.data import check_bar_types, show_dataset
    from trading_runtime.cli.data_parts import make_at
    from trading_runtime.datasets.appending import append as grow
    from trading_runtime.datasets.manifest import MANIFEST_NAME
    from trading_runtime.datasets.prepare import prepare
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.storage.folders import open_folder
    from trading_runtime.storage.s3 import is_s3, refuse_other_address

    write_instruments = partial(ask_engine, "write_instruments")
    if not is_s3(place):
        refuse_other_address(place)
    check_bar_types(loaded)
    if not open_folder(place).has(MANIFEST_NAME):
        if is_s3(place):
            manifest = make_at(loaded, instruments, place)
        else:
            manifest = prepare(loaded, instruments, write_instruments, Path(place)).manifest
        line = f"dataset      {place} prepared"
    else:
        grown = grow(loaded, instruments, write_instruments, place)
        manifest = grown.manifest
        line = f"dataset      {place} is up to date"
        if grown.rows:
            line = f"dataset      {place} has {grown.rows:,} rows more"
        if grown.known:
            line += f"; {grown.known:,} rows of new files were there already"
    if not as_json:
        say(line)
    show_dataset(manifest, as_json=as_json)


def _setting(text: str) -> tuple[str, Any]:
    from trading_runtime.errors import UsageError

    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"--set {text!r}: write KEY=VALUE, such as off_tick=round")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


@click.command()
@click.argument("name", required=False)
@JSON
def formats(name: str | None, *, as_json: bool) -> None:
    """List the formats that 'data import' knows; with NAME, print that one's settings.

    Save the output to a file and edit it to make your own format: '--format my.json'.
    """
    from trading_runtime.datasets.formats import find_format
    from trading_runtime.datasets.formats import formats as known

    if name is not None:
        say(json.dumps(find_format(name).model_dump(exclude_defaults=True), indent=1))
    elif as_json:
        content = {key: form.model_dump(exclude_defaults=True) for key, form in known().items()}
        say(json.dumps(content, indent=1))
    else:
        width = max(map(len, known()))
        for key, form in known().items():
            asks = "".join(f"; needs --{ask.replace('_', '-')}" for ask in form.asks)
            say(f"{key.ljust(width)}  {form.about}{asks}")


@click.command()
@click.option("--from", "source", type=_FILE, required=True, help="The exchange's answer, as JSON.")
@click.option("--to", "target", type=_FILE, help="File to write; standard output if not given.")
@click.option("--only", multiple=True, metavar="SYMBOL", help="Take this one; may be repeated.")
@click.option("--venue", help="The venue of the ids; else the exchange's name.")
def instruments(
    source: Path, target: Path | None, only: tuple[str, ...], venue: str | None
) -> None:
    """Write an instrument file from an exchange's description of its markets.

    Reads saved responses of Binance (exchangeInfo), Bybit, OKX and Kraken, and the markets of CCXT:
    spot pairs and perpetuals.
    """
    from trading_runtime.datasets.exchange_instruments import definitions_from
    from trading_runtime.errors import UsageError
    from trading_runtime.records.forms import to_document
    from trading_runtime.storage.files import MOST_DOCUMENT, text_of_file

    try:
        content = json.loads(text_of_file(source, MOST_DOCUMENT, "utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{source}: cannot be read as JSON: {error}") from error
    found = definitions_from(content, str(source), venue, only)
    text = json.dumps(list(map(to_document, found)), indent=1) + "\n"
    if target is None:
        say(text, nl=False)
    else:
        target.write_text(text, encoding="utf-8")
        say(f"{target}: {len(found):,} instruments")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--instrument", help="Id of the instrument: SYMBOL.VENUE.")
@click.option(
    "--to", "target", type=_FILE, help="Settings file to write; FILE.data.json if not given."
)
def guess(file: Path, instrument: str | None, target: Path | None) -> None:
    """Guess what the raw file FILE contains, and write a settings file for 'data prepare'.

    What the file does not reveal is written as "?", and listed by name.
    """
    from trading_runtime.datasets.guessing import guess as look
    from trading_runtime.errors import UsageError

    found = look(file, instrument)
    written = target or file.with_name(f"{file.name}.data.json")
    if written.exists():
        raise UsageError(f"{written}: is there already and is left alone; give another with --to")
    series = found.series | ({"files": str(file.absolute())} if target else {})
    content = {"dataset": f"{file.name.partition('.')[0]}.dataset",
               "instruments": "instruments.json", "series": [series]}  # fmt: skip
    written.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for name, value in found.seen:
        say(f"{name:<16} {value}")
    for name, why in found.asks:
        say(f"{name:<16} ?  {why}")
    say(f"written          {written}; the instrument is defined in instruments.json beside it")
    fill = "fill in what has a ?, and run " if found.asks else ""
    say(f"next             {fill}'trading-runtime data prepare {written}'")


@click.command()
@click.argument("folder")
@click.option("--delete", is_flag=True, help="Remove them; without it they are only shown.")
def gc(folder: str, *, delete: bool) -> None:
    """Show or remove files of the dataset in FOLDER that none of its manifests names.

    FOLDER may be an address in S3. An append that was killed may leave such files. Files that an
    earlier manifest names stay, since a run may have been planned with it; in S3, so do those of
    the last 24 hours, which may belong to an append under way.
    """
    from trading_runtime.datasets.garbage import garbage

    found = garbage(folder, delete=delete)
    for path, size in found.items():
        say(f"{folder.rstrip('/')}/{path}: {size:,} bytes")
    what = "removed" if delete else "can go; --delete removes them"
    say(f"{len(found):,} files that no manifest names{' ' + what if found else ''}")
