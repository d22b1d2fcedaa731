"""From an experiment on a laptop to a run on a cluster: what is checked, sent and reported."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import os.path
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trading_runtime.argo.plan_step import FILE_NAME, check_image, submission_of, with_pod_batches
from trading_runtime.canonical import digest
from trading_runtime.config.code_archive import archive_name, pack_code, unpacked_code
from trading_runtime.config.loading import explicit, load_experiment
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.errors import UsageError
from trading_runtime.execution.preparation import naming, prepare_loaded, prepare_run
from trading_runtime.planning.environment import PACKAGE
from trading_runtime.results.nested import split_id
from trading_runtime.results.stored_plan import refuse_other_plan
from trading_runtime.results.validation import windows_of
from trading_runtime.runs.opening import SharedRun, check_run_id, is_held, new_run_id
from trading_runtime.search.asking import SearchInputs
from trading_runtime.search.generations import read_generation, refuse_other_search
from trading_runtime.search.nested import of_split
from trading_runtime.storage.folders import LocalFolder, open_folder
from trading_runtime.storage.s3 import is_s3
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.execution.preparation import PreparedRun

_EXPERIMENT = "experiment.json"


@dataclass(frozen=True)
class Submission:
    """An experiment that is ready to be sent to a cluster."""

    prepared: PreparedRun
    run_id: str
    image: str | None
    content: dict[str, Any]
    """The experiment as pods read it: everything explicit, nothing that refers to this machine."""
    code: bytes | None
    """The archive of the strategy's code, where an image is not expected to contain it."""
    batch_seconds: float
    most_batches: int
    for_pods: Mapping[str, str]
    """Further parameters of the workflow."""

    @property
    def code_sha256(self) -> str | None:
        """The name of the archive, if there is one."""
        return None if self.code is None else hashlib.sha256(self.code).hexdigest()

    @property
    def address(self) -> str:
        """The S3 address that the experiment is sent to."""
        return f"{self.prepared.store.place}/{self._folder}/{_EXPERIMENT}"

    @property
    def pods(self) -> int:
        """The number of pods that compute."""
        return len(self.prepared.plan.batches)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the workflow; those left out keep the template's defaults."""
        given = {
            "experiment": self.address,
            "run-id": self.run_id,
            "image": self.image,
            "code": self.code_sha256,
            "batch-seconds": f"{self.batch_seconds:g}",
            "most-batches": str(self.most_batches),
        }
        return {name: value for name, value in given.items() if value is not None} | dict(
            self.for_pods
        )

    def upload(self) -> None:
        """Upload experiment and code to the results folder, where pods look for them."""
        results = open_folder(self.prepared.store.place)
        if self.code is not None:
            results.write(archive_name(self.code_sha256 or ""), self.code)
        results.write(f"{self._folder}/{FILE_NAME}", _json(self._submission))
        results.write(f"{self._folder}/{_EXPERIMENT}", _json(self.content))

    @property
    def _submission(self) -> dict[str, Any]:
        return {"experiment": _EXPERIMENT, **submission_of(self.prepared.plan)}

    @property
    def _folder(self) -> str:
        # By content: submitting again writes the same bytes to the same place.
        key = digest({"experiment": json.dumps(self.content), "submission": self._submission})
        return f"experiments/{self.content['name']}-{key[:16]}"


def prepare_submission(  # noqa: PLR0913 - what people may say of a submission
    experiment: str | Path,
    *,
    run_id: str | None = None,
    image: str | None = None,
    batch_seconds: float,
    most_batches: int,
    for_pods: Mapping[str, str] = MappingProxyType({}),
    split: int | None = None,
) -> Submission:
    """Check and plan an experiment for a cluster; nothing is sent or started.

    With ``split``, it is the search inside that split of the run ``run_id``.
    ``for_pods`` are further parameters of the workflow (see ``checked_parameters``).

    Raises ``UsageError`` for a bad experiment, run id or image, for data or results that are not in
    S3, and for code that cannot be sent; ``KilledError`` while the kill switch is on; and what
    ``execution.preparation.prepare_run`` raises.
    """
    if run_id is not None:
        check_run_id(run_id)
    if image is not None:
        check_image(image)
    if split is None:
        prepared = prepare_run(experiment, 1)
    else:
        prepared, run_id = _inside_split(experiment, run_id, split)
    prepared = with_pod_batches(prepared, batch_seconds, most_batches)
    with naming(experiment):
        _check_places(prepared)
        content, code = _for_pods(prepared)
    store = prepared.store
    if run_id is None:
        taken = set(store.run_ids())
        run_id = new_run_id(prepared.loaded.experiment.name, dt.datetime.now(dt.UTC), taken)
    elif is_held(store, run_id):
        raise UsageError(f"run {run_id!r} is running already; wait for it, or choose another id")
    KillSwitch(store).refuse_start(run_id)
    _refuse_other_work(prepared, run_id)
    return Submission(prepared, run_id, image, content, code, batch_seconds, most_batches, for_pods)


def _inside_split(
    experiment: str | Path, run_id: str | None, number: int
) -> tuple[PreparedRun, str]:
    """Return the search inside a split, and the id of its run."""
    if run_id is None:
        raise UsageError("--split: give the id of the run that is validated as --run-id")
    loaded = load_experiment(experiment)
    asked = loaded.experiment.validation
    with naming(experiment):
        if asked is None or not asked.nested:
            raise UsageError("--split: the experiment has no 'validation' with 'nested: true'")
        prepared = prepare_loaded(of_split(loaded, asked.model_dump(), number), 1)
    return prepared, check_run_id(split_id(run_id, number, windows_of(prepared.plan)))


def _refuse_other_work(prepared: PreparedRun, run_id: str) -> None:
    """Raise ``UsageError`` when a run id belongs to another plan or to another search."""
    store, experiment = prepared.store, prepared.loaded.experiment
    if experiment.search is None or not experiment.search.is_adaptive:
        metadata = SharedRun(store, run_id).metadata()
        return refuse_other_plan(metadata, prepared.plan.digest, run_id)
    stored = read_generation(store, run_id, 0)
    if stored is not None:
        refuse_other_search(stored, SearchInputs.of(experiment), run_id)
    return None


def seconds_of_a_pod(submission: Submission) -> float | None:
    """Return the estimated time of the longest pod without its start; ``None`` if unknown."""
    plan = submission.prepared.plan
    longest = 0.0
    for first, last in plan.batches:
        seconds = [task.seconds for task in plan.tasks[first:last] if not task.cached]
        known = [value for value in seconds if value is not None]
        if len(known) < len(seconds):
            return None
        longest = max(longest, math.fsum(known))
    return longest


def _check_places(prepared: PreparedRun) -> None:
    for key, place in (
        ("results", prepared.loaded.results_place),
        ("dataset.path", prepared.loaded.dataset_place),
    ):
        if not is_s3(place):
            raise UsageError(
                f"{key}: {place} is a folder of this machine, which pods do not see; name a place "
                "in S3: s3://bucket/prefix"
            )
        if "{{" in place:
            raise UsageError(f"{key}: {place}: '{{{{' in it would be read by Argo; rename it")


def _for_pods(prepared: PreparedRun) -> tuple[dict[str, Any], bytes | None]:
    """Return the experiment as pods read it, and the archive of its code if they need one."""
    loaded, code = prepared.loaded, prepared.code
    content = explicit(loaded.experiment)
    content["results"] = loaded.results_place
    content["dataset"]["path"] = loaded.dataset_place
    return content, packed_strategy(loaded, code, content["strategy"])


def packed_strategy(
    loaded: LoadedExperiment, code: StrategyCode, strategy: dict[str, Any]
) -> bytes | None:
    """Return the archive of a strategy's code; ``None`` where the image contains it.

    ``strategy`` is the section as pods read it; an absolute path in it is made relative. Raises
    ``UsageError`` for code that cannot be sent.
    """
    if _is_in_image(code):
        return None
    folder = loaded.code_folder.resolve()
    where, _, name = strategy["path"].rpartition(":")
    if where.startswith(("/", "~")):
        # Only the name of a file, not its path, is in the identity.
        strategy["path"] = f"{os.path.relpath(code.file or folder, folder)}:{name}"
    for key, text in (("config_path", strategy["config_path"] or ""), *_numbered(strategy["code"])):
        if text.startswith(("/", "~")):
            raise UsageError(
                f"strategy.{key}: {text} is a path of this machine alone; write it relative to the "
                "experiment file, so that pods find it too"
            )
    packed = pack_code(code, folder)
    _check_packed(packed, strategy, code)
    return packed


def _numbered(texts: list[str]) -> list[tuple[str, str]]:
    return [(f"code[{index}]", text) for index, text in enumerate(texts)]


def _is_in_image(code: StrategyCode) -> bool:
    return all(path.is_relative_to(PACKAGE) for path in code.files)


def _check_packed(packed: bytes, strategy: dict[str, Any], code: StrategyCode) -> None:
    """Check that the strategy is in its archive, as a pod will."""
    with Scratch() as scratch:
        sha256 = hashlib.sha256(packed).hexdigest()
        results = LocalFolder(scratch.path)
        results.write(archive_name(sha256), packed)
        with unpacked_code(results, sha256) as inside:
            found = find_strategy_code(
                strategy["path"], inside, strategy["code"], strategy["config_path"]
            )
    if found.digest != code.digest:
        raise UsageError(
            f"strategy.path: {strategy['path']}: the code cannot be sent from where it is; put it "
            "beside the experiment file, without links"
        )


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
