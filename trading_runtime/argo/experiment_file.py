"""Bring an experiment, and the code of its strategy, to where a step can read them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.argo.code_archive import unpacked_code
from trading_runtime.config.loading import (
    MAX_BYTES,
    LoadedExperiment,
    load_experiment,
    results_place_of,
)
from trading_runtime.errors import UsageError
from trading_runtime.object_storage import is_s3
from trading_runtime.results.folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def fetched_experiment(experiment: str, code: str | None) -> Iterator[LoadedExperiment]:
    """Load the experiment at a path or an address in S3, with the code archive of digest ``code``.

    Relative places in a file from S3 start at its own address. Raises ``UsageError`` for a file
    that is none, and ``DataError`` for an archive that is missing or not what it should be.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trading-runtime-")))
        path, address = Path(experiment), None
        if is_s3(experiment):
            address = experiment
            path = _fetched(experiment, folder)
        code_folder = folder if address else None
        if code:
            results = results_place_of(path, address or str(path.absolute()))
            code_folder = stack.enter_context(unpacked_code(open_folder(results), code))
        try:
            loaded = load_experiment(path, address, code_folder)
        except UsageError as error:
            if str(folder) not in str(error):
                raise
            raise UsageError(
                f"{str(error).replace(f'{folder}/', '')}\n{address}: code beside a file in S3 is "
                "not fetched; send it with 'trading-runtime submit', or name a module of the image"
            ) from error
        yield loaded


def _fetched(address: str, folder: Path) -> Path:
    place, _, name = address.rpartition("/")
    objects = open_folder(place)
    size = objects.sizes(name).get(name)
    if size is None:
        raise UsageError(
            f"{address}: there is no such object; give the address of an experiment file "
            "(.json or .yaml)"
        )
    if size > MAX_BYTES:
        raise UsageError(f"{address}: has {size:,} bytes; at most {MAX_BYTES:,} are accepted")
    path = folder / Path(name).name
    path.write_bytes(objects.read(name))
    return path
