"""Raw files at addresses: S3 (a real server), the web, and archives there."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.s3.servers import S3Server
from trading_runtime.cli.data import data
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import DataError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("s3fs", reason="the packages of requirements-data.txt are not installed")
pytest.importorskip("aiohttp", reason="the packages of requirements-data.txt are not installed")

NOON = 1_704_110_400


def klines(minutes: range) -> bytes:
    rows = [f"{NOON + 60 * n},42000.1,42010,41990.5,42001,{n + 1}.5,3\n" for n in minutes]
    return "".join(rows).encode()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """An S3 server with the same three minutes in every way that files are kept."""
    with S3Server() as started:
        started.put("raw")
        started.put("raw/2024/01/a.csv.gz", gzip.compress(klines(range(2)), mtime=0))
        started.put("raw/2024/02/b.csv.gz", gzip.compress(klines(range(2, 3)), mtime=0))
        started.put("raw/2024/notes.txt", b"not a file of rows")
        started.put("raw/both.zip", zipped("in/both.csv", klines(range(3))))
        yield started


@pytest.fixture
def storage(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "some-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    return server


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def imported(files: str, to: Path) -> str:
    """The digest of the dataset that the files become."""
    run("import", files, "--format", "kraken-ohlcvt", "--instrument", "BTCUSD.KRAKEN",
        "--to", str(to), "--tick", "0.1", "--lot", "0.1")  # fmt: skip
    return load_manifest(to).digest


@pytest.fixture
def expected(tmp_path: Path) -> str:
    """The digest of the same rows from a local file."""
    (tmp_path / "local.csv").write_bytes(klines(range(3)))
    return imported(str(tmp_path / "local.csv"), tmp_path / "expected")


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize(
    "files", ["s3://raw/**/*.csv.gz", "s3://raw/both.zip", "zip://in/*.csv::s3://raw/both.zip"]
)
def test_files_in_s3_become_the_dataset_that_local_files_become(
    files: str, tmp_path: Path, expected: str
) -> None:
    assert imported(files, tmp_path / "made") == expected


@pytest.mark.parametrize("name", ["rows.csv", "rows.zip"])
def test_a_file_on_the_web_is_read(name: str, tmp_path: Path, expected: str) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "rows.csv").write_bytes(klines(range(3)))
    (shared / "rows.zip").write_bytes(zipped("rows.csv", klines(range(3))))
    handler = functools.partial(_Quiet, directory=str(shared))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        try:
            address = f"http://127.0.0.1:{web.server_port}/{name}"
            found = imported(address, tmp_path / "made")
            with pytest.raises(DataError, match=r"gives whole files only, .* give http://[^ ]* it"):
                imported(f"zip://*.csv::{address}", tmp_path / "chained")
            with pytest.raises(DataError, match="no such file was found there"):
                imported(f"{address}.gone", tmp_path / "gone")
        finally:
            web.shutdown()
            thread.join()

    assert found == expected


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.mark.usefixtures("storage")
def test_a_wrong_row_is_named_by_its_address_and_line(storage: S3Server, tmp_path: Path) -> None:
    storage.put("raw/wrong.csv", klines(range(2)) + b"x,1,1,1,1,1,1\n")

    with pytest.raises(DataError, match=r"s3://raw/wrong\.csv:3: timestamp 'x' is not a time"):
        imported("s3://raw/wrong.csv", tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.usefixtures("storage")
@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ("s3://raw/none-*.csv", DataError, "no file matches this pattern"),
        ("s3://raw/none.csv", DataError, "no such file was found there"),
        ("carrier://pigeon.csv", UsageError, "not an address that can be read"),
        ("http://127.0.0.1:9/a.csv", StorageError, "cannot be read: Cannot connect to host"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(
    files: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        imported(files, tmp_path / "made")


@pytest.mark.usefixtures("storage")
def test_a_new_file_under_the_same_pattern_is_appended(storage: S3Server, tmp_path: Path) -> None:
    storage.put("raw/daily/1.csv", klines(range(2)))
    before = imported("s3://raw/daily/*.csv", tmp_path / "made")
    storage.put("raw/daily/2.csv", klines(range(2, 4)))

    after = imported("s3://raw/daily/*.csv", tmp_path / "made")

    assert load_manifest(tmp_path / "made").parent == before
    assert load_manifest(tmp_path / "made").rows == 4
    assert after != before


def test_a_data_file_names_addresses_too(storage: S3Server, tmp_path: Path) -> None:
    storage.put("raw/one.csv", klines(range(3)))
    instrument = {
        "type": "CurrencyPair", "id": "BTCUSD.KRAKEN", "base_currency": "BTC",
        "quote_currency": "USD", "price_increment": "0.1", "size_increment": "0.1",
    }  # fmt: skip
    (tmp_path / "instruments.json").write_text(json.dumps(instrument))
    series = {
        "type": "bars", "instrument": "BTCUSD.KRAKEN", "files": ["s3://raw/one.csv"],
        "bar": "1-MINUTE-LAST", "header": False, "timestamp_format": "s",
        "timestamp_marks": "open",
        "columns": dict(zip(("timestamp", "open", "high", "low", "close", "volume"), range(1, 7),
                            strict=True)),
    }  # fmt: skip
    content = {"dataset": "made", "instruments": "instruments.json", "series": [series]}
    (tmp_path / "data.json").write_text(json.dumps(content))

    run("prepare", str(tmp_path / "data.json"))

    assert load_manifest(tmp_path / "made").rows == 3
