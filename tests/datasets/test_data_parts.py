"""A dataset made in parts, by separate processes over S3, is the one that one process makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.s3.servers import S3Server
from trading_runtime.cli.data import data
from trading_runtime.errors import DataError, IncompleteError, UsageError
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("s3fs", reason="the packages of requirements-data.txt are not installed")

NOON = 1_704_110_400
NAMES = ("BTCUSD.KRAKEN", "ETHUSD.KRAKEN")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as started:
        yield started


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: Any) -> str:
    """A bucket with a data file, its instruments, and raw files of two instruments."""
    from trading_runtime.storage import s3

    for name, value in (
        ("AWS_ACCESS_KEY_ID", "some-key-id"), ("AWS_SECRET_ACCESS_KEY", "some-key"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", server.endpoint),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRADING_RUNTIME_OUTPUTS", str(tmp_path / "outputs"))
    s3._opened.cache_clear()
    name = f"bucket-{abs(hash(request.node.name)) % 10**8}"
    server.put(name)
    instruments = [
        {
            "type": "CurrencyPair", "id": item, "base_currency": item[:3], "quote_currency": "USD",
            "price_increment": "0.1", "size_increment": "0.1",
        }
        for item in NAMES
    ]  # fmt: skip
    roles = ("timestamp", "open", "high", "low", "close", "volume")
    series = [
        {
            "type": "bars", "instrument": item, "files": f"raw/{item}/*.csv",
            "bar": "1-MINUTE-LAST", "header": False, "timestamp_format": "s",
            "timestamp_marks": "open", "columns": dict(zip(roles, range(1, 7), strict=True)),
        }
        for item in NAMES
    ]  # fmt: skip
    content = {"instruments": "instruments.json", "series": series}
    server.put(f"{name}/instruments.json", json.dumps(instruments).encode())
    server.put(f"{name}/btc.data.json", json.dumps(content).encode())
    for item in NAMES:
        for day in range(2):
            server.put(f"{name}/raw/{item}/{day}.csv", rows(day))
    return name


def rows(day: int) -> bytes:
    start = NOON + 86_400 * day
    return b"".join(f"{start + 60 * n},10.5,12,9.5,11,{n + 1},3\n".encode() for n in range(3))


def part(bucket: str, step: str, *options: str) -> str:
    result = CliRunner().invoke(
        data,
        ["part", step, "--config", f"s3://{bucket}/btc.data.json", "--to", f"s3://{bucket}/made",
         *options],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0
    return result.stdout


def made_at(bucket: str, prefix: str) -> dict[str, bytes]:
    folder = S3Folder(f"s3://{bucket}/{prefix}")
    return folder.read_all(sorted(folder.sizes()))


def made_here(bucket: str, folder: Path) -> dict[str, bytes]:
    """The same dataset, made from copies of the files by one process."""
    everything = S3Folder(f"s3://{bucket}")
    for name, content in everything.read_all(sorted(everything.sizes())).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    made = folder / "here"
    arguments = ["prepare", str(folder / "btc.data.json"), "--to", str(made)]
    assert CliRunner().invoke(data, arguments, catch_exceptions=False).exit_code == 0
    paths = [path for path in sorted(made.rglob("*")) if path.is_file()]
    return {path.relative_to(made).as_posix(): path.read_bytes() for path in paths}


def test_pods_make_the_dataset_that_one_process_makes(bucket: str, tmp_path: Path) -> None:
    expected = made_here(bucket, tmp_path)

    assert part(bucket, "plan") == "2 series to make\n"
    part(bucket, "batch", "--batch", "1")
    # The pod of the other series was deleted before it began.
    assert part(bucket, "check") == "1 series are missing\n"
    assert (tmp_path / "outputs" / "batches").read_text() == "1"
    part(bucket, "batch", "--round", "2", "--batch", "0")
    # Argo may run a pod twice.
    part(bucket, "batch", "--round", "2", "--batch", "0")
    part(bucket, "summary")

    assert made_at(bucket, "made") == expected


def test_a_dataset_is_prepared_in_s3_with_one_command(bucket: str, tmp_path: Path) -> None:
    expected = made_here(bucket, tmp_path)

    arguments = ["prepare", str(tmp_path / "btc.data.json"), "--to", f"s3://{bucket}/made"]
    assert CliRunner().invoke(data, arguments, catch_exceptions=False).exit_code == 0

    assert made_at(bucket, "made") == expected


def test_the_same_import_adds_to_a_dataset_in_s3_what_is_new(
    server: S3Server, bucket: str, tmp_path: Path
) -> None:
    def run(to: str) -> str:
        arguments = [
            "import", f"s3://{bucket}/raw/{NAMES[0]}/*.csv", "--format", "kraken-ohlcvt",
            "--instrument", NAMES[0], "--tick", "0.1", "--lot", "0.1", "--to", to,
        ]  # fmt: skip
        return CliRunner().invoke(data, arguments, catch_exceptions=False).output

    there, here = f"s3://{bucket}/grown", str(tmp_path / "grown")
    assert "prepared" in run(there)
    before = made_at(bucket, "grown")
    run(here)
    server.put(f"{bucket}/raw/{NAMES[0]}/2.csv", rows(1).splitlines(keepends=True)[-1] + rows(2))

    assert "has 3 rows more; 1 rows of new files were there already" in run(there)
    run(here)

    after = made_at(bucket, "grown")
    manifest = before.pop("manifest.json")
    before[f"manifests/{json.loads(manifest)['digest']}.json"] = manifest
    assert before.items() <= after.items()
    assert after == {
        path.relative_to(here).as_posix(): path.read_bytes()
        for path in Path(here).rglob("*")
        if path.is_file()
    }
    assert "is up to date" in run(there)
    assert made_at(bucket, "grown") == after


def test_no_manifest_is_written_while_parts_are_missing(bucket: str) -> None:
    part(bucket, "plan")
    part(bucket, "batch", "--batch", "0")

    with pytest.raises(IncompleteError, match=r"1 of 2 parts are missing \(1\)"):
        part(bucket, "summary")
    assert not S3Folder(f"s3://{bucket}/made").has("manifest.json")


def test_refused_rows_of_all_parts_are_reported_together(bucket: str, server: S3Server) -> None:
    for item in NAMES:
        server.put(f"{bucket}/raw/{item}/2.csv", b"x,10.5,12,9.5,11,1,3\n")
    part(bucket, "plan")
    for number in "01":
        with pytest.raises(DataError):
            part(bucket, "batch", "--batch", number)
    assert part(bucket, "check") == "0 series are missing\n"

    with pytest.raises(DataError) as refused:
        part(bucket, "summary")

    lines = str(refused.value).splitlines()
    assert [line.partition(":1:")[0] for line in lines] == [
        f"s3://{bucket}/raw/{item}/2.csv" for item in NAMES
    ]
    assert not S3Folder(f"s3://{bucket}/made").has("manifest.json")


def test_another_dataset_at_the_address_is_left_alone(bucket: str, server: S3Server) -> None:
    for step in (["plan"], ["batch", "--batch", "0"], ["batch", "--batch", "1"], ["summary"]):
        part(bucket, *step)
    before = S3Folder(f"s3://{bucket}/made").read("manifest.json")
    server.put(f"{bucket}/raw/{NAMES[0]}/2.csv", rows(2))

    part(bucket, "plan")
    for number in "01":
        part(bucket, "batch", "--batch", number)
    with pytest.raises(UsageError, match="holds another dataset"):
        part(bucket, "summary")

    assert S3Folder(f"s3://{bucket}/made").read("manifest.json") == before


def test_a_batch_without_a_plan_is_refused(bucket: str) -> None:
    with pytest.raises(UsageError, match="run the step 'plan' first"):
        part(bucket, "batch", "--batch", "0")
