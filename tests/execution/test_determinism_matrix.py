"""The same tasks give the same bytes in every setting that is not part of a task's identity."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pytest

from tests.s3.servers import S3Server
from tests.small_experiment import SmallExperiment, make_dataset, make_quotes
from trading_runtime.storage import s3
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOBS = Path(__file__).parent / "knobs"
RUN_FILES = ("results.parquet", "points.parquet", "result.json")
BUCKET = "matrix"
LEVELS: dict[str, tuple[Any, ...]] = {
    "workers": (1, 2, 4),
    "hash_seed": ("0", "12345", "random"),
    "zone": ("UTC", "Asia/Tokyo", "America/St_Johns"),
    "language": ("C", "C.UTF-8", "tr_TR.UTF-8"),
    "chunk_rows": (50_000, 1_000, 7),
    "order": ("planned", "one-batch", "backwards"),
    "dataset": ("folder", "s3"),
    "results": ("folder", "s3"),
    "stored": ("nothing", "half"),
    "strategy": ("counting", "quoting"),
}
"""What may differ between two runs of the same tasks, and the values that are tried."""


class Setting(NamedTuple):
    """One row of the matrix: a value for each of ``LEVELS``."""

    workers: int
    hash_seed: str
    zone: str
    language: str
    chunk_rows: int
    order: str
    dataset: str
    results: str
    stored: str
    """The tasks whose results another run left there before."""
    strategy: str


MATRIX = [
    Setting(int(workers), seed, zone, language, int(chunk_rows), *rest)
    for workers, seed, zone, language, chunk_rows, *rest in map(
        str.split,
        """\
1  0       Asia/Tokyo        C.UTF-8      50000  planned    folder  folder  nothing  counting
2  12345   Asia/Tokyo        tr_TR.UTF-8  1000   backwards  s3      s3      half     quoting
4  random  America/St_Johns  C            7      one-batch  s3      folder  nothing  quoting
4  random  UTC               C            1000   planned    folder  s3      half     counting
1  0       UTC               C.UTF-8      50000  one-batch  s3      s3      half     quoting
2  0       UTC               tr_TR.UTF-8  7      backwards  folder  folder  nothing  counting
1  12345   America/St_Johns  tr_TR.UTF-8  1000   one-batch  folder  folder  half     counting
2  12345   America/St_Johns  C            50000  planned    s3      s3      nothing  quoting
4  12345   America/St_Johns  C.UTF-8      7      backwards  folder  s3      half     quoting
4  random  Asia/Tokyo        tr_TR.UTF-8  50000  backwards  s3      folder  half     counting
2  random  Asia/Tokyo        C.UTF-8      1000   one-batch  folder  s3      nothing  quoting
1  random  Asia/Tokyo        C            7      backwards  s3      folder  half     counting
4  0       America/St_Johns  C            1000   planned    folder  s3      nothing  quoting
1  12345   UTC               tr_TR.UTF-8  7      planned    folder  s3      nothing  quoting
""".splitlines(),
    )
]


def test_each_pair_of_values_meets_in_the_matrix() -> None:
    """The full product has 11,664 settings; a fault of one or two settings shows in these 14.

    This is a pairwise covering array: for any two of the ten settings, each value of the one is
    met together with each value of the other in at least one row.
    """
    for (one, values), (other, others) in itertools.combinations(LEVELS.items(), 2):
        met = {(getattr(row, one), getattr(row, other)) for row in MATRIX}
        assert met == set(itertools.product(values, others)), (one, other)


class Laboratory:
    """Both experiments, what each came to at first, and a place in S3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.datasets = {
            "counting": make_dataset(folder / "bars"),
            "quoting": make_quotes(folder / "quotes"),
        }
        self.first = {name: self.run(name) for name in LEVELS["strategy"]}
        for name, dataset in self.datasets.items():
            copy_to_s3(dataset, f"s3://{BUCKET}/{name}")

    def run(self, strategy: str, setting: Setting | None = None) -> dict[str, bytes]:
        """Run an experiment, and return what must be the same of what it left."""
        number = len(list(self.folder.glob("run-*")))
        folder = self.folder / f"run-{number}"
        folder.mkdir()
        dataset = str(self.datasets[strategy])
        if setting is not None and setting.dataset == "s3":
            dataset = f"s3://{BUCKET}/{strategy}"
        experiment = SmallExperiment(folder, Path(dataset))
        if strategy == "quoting":
            experiment.make_markets()
        else:
            experiment.write(parameters={"every": [20, 30]})
        experiment.write(dataset={"path": dataset})
        if setting is None:
            experiment.summary("--run-id", "run", "--workers", "1")
            return kept(read_folder(experiment.results))
        self._store_some(setting, experiment, f"s3://{BUCKET}/results-{number}")
        ended = experiment.run(
            "--run-id", "run", "--workers", str(setting.workers), environment=environment(setting)
        )
        assert (ended.returncode, "sitecustomize" in ended.stderr) == (0, False), ended.stderr
        if setting.results == "s3":
            return kept(read_s3(f"s3://{BUCKET}/results-{number}"))
        return kept(read_folder(experiment.results))

    def _store_some(self, setting: Setting, experiment: SmallExperiment, address: str) -> None:
        if setting.stored == "half":
            first = self.first[setting.strategy]
            tasks = sorted({name.split("/")[2] for name in first if name.startswith("tasks/")})
            assert len(tasks) == 6
            for name, content in first.items():
                if name.startswith("tasks/") and name.split("/")[2] in tasks[::2]:
                    path = experiment.results / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
        if setting.results == "s3":
            if experiment.results.exists():
                copy_to_s3(experiment.results, address)
            experiment.write(results=address)


def environment(setting: Setting) -> dict[str, str]:
    return {
        "PYTHONHASHSEED": setting.hash_seed,
        "TZ": setting.zone,
        "LANG": setting.language,
        "LC_ALL": setting.language,
        "PYTHONPATH": str(KNOBS),
        "MATRIX_CHUNK_ROWS": str(setting.chunk_rows),
        "MATRIX_ORDER": setting.order,
    }


def kept(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out what may differ: metadata, metrics, journal, plan and report."""
    runs = {f"runs/run/{name}" for name in RUN_FILES}
    return {name: data for name, data in files.items() if name.startswith("tasks/") or name in runs}


def read_folder(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read_s3(address: str) -> dict[str, bytes]:
    objects = S3Folder(address)
    return objects.read_all(sorted(objects.sizes()))


def copy_to_s3(folder: Path, address: str) -> None:
    objects = S3Folder(address)
    for name, content in read_folder(folder).items():
        objects.write(name, content)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """The laboratory with an S3 server, whose variables the runs inherit."""
    with S3Server() as server, pytest.MonkeyPatch.context() as variables:
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", server.endpoint),
        ):
            variables.setenv(name, value)
        s3._opened.cache_clear()
        server.put(BUCKET)
        yield Laboratory(tmp_path_factory.mktemp("laboratory"))
        s3._opened.cache_clear()


@pytest.mark.parametrize("setting", MATRIX, ids=lambda row: "-".join(map(str, row)))
def test_a_run_leaves_the_same_bytes_in_every_setting(
    laboratory: Laboratory, setting: Setting
) -> None:
    found = laboratory.run(setting.strategy, setting)

    first = laboratory.first[setting.strategy]
    assert sorted(found) == sorted(first)
    assert [name for name in first if found[name] != first[name]] == []


def test_a_repeat_in_an_empty_folder_leaves_the_same_bytes(laboratory: Laboratory) -> None:
    for strategy, first in laboratory.first.items():
        assert laboratory.run(strategy) == first


def test_both_strategies_trade_in_every_task_and_not_alike(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    for first in laboratory.first.values():
        (tmp_path / "results.parquet").write_bytes(first["runs/run/results.parquet"])
        results = pl.read_parquet(tmp_path / "results.parquet")
        assert results.height == 6
        assert results["fills"].min() > 2  # type: ignore[operator]
        assert results["net_profit"].n_unique() == 6
