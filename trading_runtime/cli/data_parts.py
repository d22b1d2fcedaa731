"""``trading-runtime data part``: the steps of a preparation that several pods share."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.instrument_facts import InstrumentFacts
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.datasets.parts import PartedPreparation


@click.command()
@click.argument("step", type=click.Choice(["plan", "batch", "check", "summary"]))
@click.option("--config", required=True, help="The data file, or its address in S3.")
@click.option("--to", "place", required=True, help="Where the dataset goes: s3://bucket/prefix.")
@click.option("--batch", type=click.IntRange(0), help="batch: the series, counted from 0.")
@click.option(
    "--round",
    "round_number",
    type=click.IntRange(1, 2),
    default=1,
    help="batch: 1 for all series, 2 for those that check found missing.",
)
def part(step: str, config: str, place: str, batch: int | None, round_number: int) -> None:
    """Run one STEP of making a dataset in pods; the dataset is that of 'data prepare'.

    plan: list the raw files of each series. batch: make one series. check: list series that are
    missing. summary: write the manifest, last.
    """
    from trading_runtime.argo.outputs import write_termination_message
    from trading_runtime.errors import TradingRuntimeError

    try:
        _run(step, config, place, batch, round_number)
    except TradingRuntimeError as error:
        write_termination_message(str(error))
        raise


def _run(step: str, config: str, place: str, batch: int | None, round_number: int) -> None:
    from trading_runtime.argo.outputs import write_outputs
    from trading_runtime.errors import UsageError
    from trading_runtime.storage.scratch import Scratch

    with Scratch() as scratch:
        preparation = _opened(config, place, scratch.path)
        if step == "plan":
            count = preparation.plan()
            write_outputs({"batches": str(count)})
            say(f"{count:,} series to make")
        elif step == "batch":
            if batch is None:
                raise UsageError("data part batch: needs --batch")
            number = batch if round_number == 1 else preparation.found_missing(batch)
            say(f"series {number}: {preparation.make(number):,} rows")
        elif step == "check":
            missing = preparation.check()
            write_outputs({"batches": str(len(missing))})
            say(f"{len(missing):,} series are missing")
        else:
            manifest = _finish(preparation)
            write_outputs({"digest": manifest.digest})
            say(f"dataset {place}: digest {manifest.digest}")


def prepare_at(file: Path, address: str) -> Manifest:
    """Make the dataset of a data file at an address in S3, all parts here."""
    return _made(_opened(str(file), address, Path()))


def make_at(
    loaded: LoadedPreparation, instruments: Mapping[str, InstrumentFacts], address: str
) -> Manifest:
    """Make a dataset at an address in S3, all parts here."""
    from trading_runtime.datasets.parts import PartedPreparation
    from trading_runtime.storage.folders import open_folder

    return _made(PartedPreparation(loaded, instruments, open_folder(address)))


def _made(preparation: PartedPreparation) -> Manifest:
    for number in range(preparation.plan()):
        preparation.make(number)
    return _finish(preparation)


def _finish(preparation: PartedPreparation) -> Manifest:
    from trading_runtime.engine.instruments.apart import ask_engine

    return preparation.finish(partial(ask_engine, "write_instruments"))


def _opened(config: str, place: str, scratch: Path) -> PartedPreparation:
    from trading_runtime.cli.data import check_bar_types
    from trading_runtime.datasets.data_file import load_preparation
    from trading_runtime.datasets.parts import PartedPreparation
    from trading_runtime.engine.instruments.apart import ask_engine
    from trading_runtime.storage.folders import open_folder
    from trading_runtime.storage.s3 import is_s3

    loaded = _fetched(config, scratch) if is_s3(config) else load_preparation(Path(config))
    check_bar_types(loaded)
    instruments = ask_engine("read_instruments", loaded.instrument_files)
    return PartedPreparation(loaded, instruments, open_folder(place))


def _fetched(address: str, scratch: Path) -> LoadedPreparation:
    """Copy a data file in S3 and its instrument files; its raw files stay where they are."""
    from trading_runtime.datasets.data_file import load_preparation
    from trading_runtime.storage.s3 import S3Folder

    place, _, name = address.rpartition("/")
    folder = S3Folder(place)
    copy = scratch / name
    copy.write_bytes(folder.read(name))
    loaded = replace(load_preparation(copy), place=place)
    for text, path in zip(loaded.instrument_names, loaded.instrument_files, strict=True):
        content = folder.read(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return loaded
