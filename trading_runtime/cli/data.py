"""The commands of ``trading-runtime data``: making, inspecting and verifying datasets."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli import data_import, data_parts
from trading_runtime.cli.options import JSON
from trading_runtime.cli.terminal import say

if TYPE_CHECKING:
    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.datasets.prepare import Prepared


class _LocalPath(click.Path):
    """A path on this machine; ``pathlib`` would make a folder ``s3:`` of an address."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(f"{value!r} is an address; give the path of a local file or folder", param)
        return super().convert(value, param, ctx)


_PATH = _LocalPath(path_type=Path)


@click.group()
def data() -> None:
    """Make datasets from raw market data, inspect them, verify them."""


@data.command()
@click.argument("file", type=_PATH)
@click.option("--to", "target", help="Folder of the dataset to make, or its address in S3.")
@click.option("--force", is_flag=True, help="Replace the dataset that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def prepare(file: Path, target: str | None, *, force: bool, as_json: bool) -> None:
    """Make the dataset that the data file FILE describes.

    FILE (JSON or YAML) names raw files, CSV or Parquet, of bars, trades or quotes, what their
    columns mean, and the instruments. Rows that are unordered, duplicate, negative, not finite or
    off the tick are refused with file and line, and nothing is written.
    """
    from trading_runtime.storage.s3 import is_s3, refuse_other_address

    click.get_current_context().with_resource(data_import.lean_process())
    if target is not None and is_s3(target):
        manifest = data_parts.prepare_at(file, target)
        if not as_json:
            say(f"dataset      {target} prepared")
        show_dataset(manifest, as_json=as_json)
        return
    if target is not None:
        refuse_other_address(target)
    prepared = make_dataset(file, None if target is None else Path(target), force=force)
    if not as_json:
        what = "is up to date" if prepared.is_unchanged else "prepared"
        say(f"dataset      {prepared.folder} {what}")
    show_dataset(prepared.manifest, as_json=as_json)


def make_dataset(file: Path, folder: Path | None = None, *, force: bool = False) -> Prepared:
    """Make the dataset that a data file describes; raises what ``datasets.prepare`` raises."""
    from trading_runtime.datasets.data_file import load_preparation
    from trading_runtime.datasets.prepare import prepare as make
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.errors import UsageError

    loaded = load_preparation(file)
    target = folder or loaded.dataset
    if target is None:
        raise UsageError(f"{file}: names no 'dataset' to make; add it, or give --to FOLDER")
    check_bar_types(loaded)
    instruments = ask_engine("read_instruments", loaded.instrument_files)
    write_instruments = partial(ask_engine, "write_instruments")
    return make(loaded, instruments, write_instruments, target, force=force)


@data.command()
@click.argument("folder")
@JSON
def inspect(folder: str, *, as_json: bool) -> None:
    """Show what the dataset in FOLDER contains: instruments, types, windows, rows, gaps, digest.

    FOLDER may be an address in S3.
    """
    from trading_runtime.datasets.manifest import load_manifest

    show_dataset(load_manifest(folder), as_json=as_json)


@data.command()
@click.argument("folder")
@JSON
def verify(folder: str, *, as_json: bool) -> None:
    """Compare every file of the dataset in FOLDER with the sha256 in its manifest.

    FOLDER may be an address in S3.
    """
    from trading_runtime.datasets.verify import verify as compare
    from trading_runtime.errors import DataError

    found = compare(folder)
    if as_json:
        facts = {
            "digest": found.manifest.digest,
            "files": found.files,
            "bytes": found.bytes,
            "damages": list(found.damages),
        }
        say(json.dumps(facts, indent=1))
    if found.damages:
        raise DataError("\n".join(found.damages))
    if not as_json:
        what = f"{found.files} files, {found.bytes:,} bytes, all as the manifest says"
        say(f"{folder}: {what}")


@data.command()
@click.argument("folder", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def adopt(folder: Path, *, as_json: bool) -> None:
    """Use the Nautilus v2 catalog in FOLDER as it is, by giving it a manifest.json."""
    from trading_runtime.datasets.adopt import adopt as take
    from trading_runtime.engine.instruments.catalog import read_catalog_instruments
    from trading_runtime.engine.instruments.files import instrument_types

    adopted = take(folder, frozenset(instrument_types()), read_catalog_instruments)
    for kind in adopted.skipped:
        say(f"{folder / 'data' / kind}: not used; no strategy is fed from it", err=True)
    if not as_json:
        say(f"dataset      {folder} adopted")
    show_dataset(adopted.manifest, as_json=as_json)


def check_bar_types(loaded: LoadedPreparation) -> None:
    """Raise ``UsageError`` for bars that the engine does not support, such as 7-minute bars."""
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.errors import UsageError

    for bar_type in loaded.bar_types:
        try:
            ask_engine("check_bar_type", bar_type)
        except ValueError as error:
            raise UsageError(f"{loaded.path}: the engine has no such bars: {error}") from error


def show_dataset(manifest: Manifest, *, as_json: bool) -> None:
    """Print what a dataset contains."""
    from trading_runtime.datasets import inspection

    if as_json:
        say(json.dumps(inspection.as_json(manifest), indent=1))
    else:
        say(inspection.as_text(manifest))


for _command in (
    data_import.import_,
    data_import.append,
    data_import.formats,
    data_import.guess,
    data_import.gc,
    data_import.instruments,
    data_parts.part,
):
    data.add_command(_command)
