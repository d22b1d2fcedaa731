"""Runs a run's tasks again: where its inputs are, and whether they are unchanged."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.config.code_archive import strategy_folder
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.distributions import installed_version
from trading_runtime.planning.environment import environment, runtime_digest
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.planned_data import PlannedFile
from trading_runtime.storage.s3 import is_s3
from trading_runtime.verification.why import InputDifference, input_differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

_MOST_SHOWN = 5


@dataclass(frozen=True)
class TaskOrigin:
    """What a run was computed from."""

    run_id: str
    plan_file: Path
    plan: Plan
    folder: Path
    """What the experiment's relative paths of code start from."""
    dataset: str
    """A folder, or an address in S3."""
    code: StrategyCode


@contextlib.contextmanager
def found_origin(
    store: Store, files: RunFiles, experiment: Path | None = None, dataset: str | None = None
) -> Iterator[TaskOrigin]:
    """Find what a run was computed from: where its metadata say, or where the arguments do.

    Code that was sent to pods is in the store, so that any machine can repeat the run. Raises
    ``UsageError`` when the run has no plan, or files of its experiment or strategy are missing;
    ``DataError`` when its plan or metadata are damaged.
    """
    plan = read_plan(files.plan)
    if plan.common.session is not None:
        raise UsageError(
            f"run {files.folder.name!r} is a session, which no repeat gives again; compare it with "
            f"a backtest of the same rows: 'trading-runtime parity {files.folder.name}'"
        )
    metadata = read_metadata(files)
    if metadata is None and (experiment is None or dataset is None):
        raise UsageError(
            f"{files.metadata}: there is none, which would name the run's experiment and dataset; "
            "give --experiment FILE and --dataset DIR"
        )
    dataset = dataset or (metadata.dataset if metadata else "")
    if not is_s3(dataset) and not Path(dataset).is_dir():
        raise DataError(
            f"{dataset}: the run's dataset is gone; name the folder where it is now with "
            "--dataset DIR"
        )
    archive = None if experiment or metadata is None else metadata.code_archive
    file = str(experiment) if experiment or metadata is None else metadata.experiment_file
    with strategy_folder(store.objects, archive, file) as folder:
        yield TaskOrigin(
            run_id=files.folder.name,
            plan_file=files.plan.absolute(),
            plan=plan,
            folder=folder,
            dataset=dataset if is_s3(dataset) else str(Path(dataset).absolute()),
            code=_code(plan, folder, file),
        )


def _code(plan: Plan, folder: Path, experiment_file: str) -> StrategyCode:
    strategy = plan.strategy
    try:
        return find_strategy_code(strategy.path, folder, strategy.code, plan.common.config_path)
    except UsageError as error:
        if Path(experiment_file).parent.is_dir():
            raise
        place = experiment_file.rpartition("/")[0]
        raise UsageError(
            f"{place}: the folder of the run's experiment file is gone, and with it the strategy's "
            "code; name the file where it is now with --experiment FILE"
        ) from error


def changed_inputs(origin: TaskOrigin) -> list[InputDifference]:
    """Return the shared task inputs that have changed since the run was planned."""
    then = origin.plan.common.content
    now = environment()
    now["packages"] = {name: installed_version(name) for name in then["packages"]}
    now["code"] = {"runtime": runtime_digest(), "strategy": origin.code.digest}
    return input_differences({key: then.get(key) for key in now}, now, "common")


STRATEGY_CODE = "common.code.strategy"
"""The input whose change makes a task another one."""


def refuse_changed_inputs(changed: Iterable[InputDifference], origin: TaskOrigin) -> None:
    """Raise ``UsageError`` when code or versions differ from those of the run."""
    lines = [f"{item.path}: then {item.first}, now {item.second}" for item in changed]
    if lines:
        shown = "\n".join(lines[:_MOST_SHOWN])
        more = len(lines) - _MOST_SHOWN
        raise UsageError(
            f"run {origin.run_id!r} cannot be repeated here: other inputs may give other results, "
            f"and would prove nothing; use the code and the versions of the run\n{shown}"
            + (f"\nand {more} more" if more > 0 else "")
        )


def refuse_changed_data(origin: TaskOrigin, tasks: Iterable[int]) -> None:
    """Raise ``DataError`` when the dataset's manifest has other data for one of these tasks.

    Whether the files contain what the manifest says is checked when they are read.
    """
    manifest = load_manifest(origin.dataset)
    if manifest.digest == origin.plan.dataset_digest:
        return
    known = _row_groups(manifest, origin)
    for index in sorted({origin.plan.tasks[task].partition for task in tasks}):
        for series in origin.plan.partitions[index].data:
            for group in series.row_groups:
                place = (group.path, group.index)
                if known.get(place) != group.sha256:
                    raise DataError(
                        f"{origin.dataset}/{group.path}: row group {group.index} is not the "
                        f"one that run {origin.run_id!r} was computed from: the dataset was "
                        "changed; name the one of the run with --dataset DIR"
                    )


def present_plan(origin: TaskOrigin, folder: Path) -> Path:
    """Return the file of the run's plan, with the footers that the dataset's files have now.

    Rows added to a file since then change its footer, but none of the row groups before them. A
    plan that differs is written to ``folder``.
    """
    manifest = load_manifest(origin.dataset)
    if manifest.digest == origin.plan.dataset_digest:
        return origin.plan_file
    files = {
        file.path: PlannedFile(file.path, file.footer_offset, file.footer_sha256)
        for file in manifest.files_of(_series(origin))
    }
    plan = replace(
        origin.plan,
        partitions=tuple(
            replace(
                partition,
                data=tuple(
                    series._replace(
                        files=tuple(files.get(file.path, file) for file in series.files)
                    )
                    for series in partition.data
                ),
            )
            for partition in origin.plan.partitions
        ),
    )
    path = folder / "plan.json"
    path.write_text(plan.to_json(), encoding="utf-8")
    return path


def _row_groups(manifest: Manifest, origin: TaskOrigin) -> dict[tuple[str, int], str]:
    return {
        (file.path, group.index): group.sha256
        for file in manifest.files_of(_series(origin))
        for group in file.row_groups
    }


def _series(origin: TaskOrigin) -> set[tuple[str, str]]:
    """Return type and identifier of the series that the run was computed from."""
    return {
        (series.type, series.identifier)
        for partition in origin.plan.partitions
        for series in partition.data
    }
