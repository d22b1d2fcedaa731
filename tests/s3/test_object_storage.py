"""One folder in S3: whole objects, conditional writes, retries, and errors that name no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.s3.conftest import SECRET
from tests.s3.servers import Proxy, S3Server
from trading_runtime import object_storage
from trading_runtime.errors import StorageError, TransientError, UsageError
from trading_runtime.object_storage import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable


def behind(monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    """Lead all requests through ``proxy`` from now on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    object_storage._file_system.cache_clear()


def test_an_object_is_created_once_and_read_whole(bucket: str) -> None:
    folder = S3Folder(f"{bucket}/results")
    assert folder.create("tasks/a.json", b"first")
    assert not folder.create("tasks/a.json", b"second")
    assert folder.read("tasks/a.json") == b"first"


def test_objects_are_listed_by_their_names_below_the_folder(bucket: str) -> None:
    folder = S3Folder(f"{bucket}/results")
    folder.write("runs/one/plan.json", b"12")
    folder.write("tasks/a", b"123")
    S3Folder(bucket).write("elsewhere", b"1")
    assert folder.sizes() == {"runs/one/plan.json": 2, "tasks/a": 3}
    assert folder.sizes("runs/") == {"runs/one/plan.json": 2}
    assert S3Folder(bucket).sizes("elsewhere") == {"elsewhere": 1}


def test_many_objects_are_read_at_once(bucket: str) -> None:
    folder = S3Folder(bucket)
    for name in ("a", "b"):
        folder.write(name, name.encode())
    assert folder.read_all(["a", "b"]) == {"a": b"a", "b": b"b"}
    assert folder.read_all(["b"]) == {"b": b"b"}
    assert folder.read_all([]) == {}


def test_removing_what_is_not_there_is_no_fault(bucket: str) -> None:
    folder = S3Folder(bucket)
    folder.write("a", b"1")
    folder.remove("a")
    folder.remove("a")
    assert folder.sizes() == {}


def test_an_object_that_is_not_there_is_not_found(bucket: str) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        S3Folder(bucket).read("nowhere")


@pytest.mark.parametrize(
    "request_",
    [
        lambda folder: folder.read("a"),
        lambda folder: folder.create("a", b"1"),
        lambda folder: folder.sizes(),
    ],
)
@pytest.mark.usefixtures("storage")
def test_a_missing_bucket_is_said_to_be_missing(request_: Callable[[S3Folder], object]) -> None:
    with pytest.raises(StorageError, match="s3://no-such-bucket: no such bucket"):
        request_(S3Folder("s3://no-such-bucket/results"))


@pytest.mark.parametrize("address", ["s3://Upper/x", "s3://", "s3://a", "gs://bucket/x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="not an address in S3"):
        S3Folder(address)


@pytest.mark.parametrize("status", [500, 503, 0])
def test_a_fault_that_passes_is_tried_again(
    status: int, bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(storage.port, lambda number: status if number % 3 else None) as proxy:
        behind(monkeypatch, proxy)
        folder = S3Folder(bucket)
        assert folder.create("a", b"1")
        assert folder.read("a") == b"1"
        assert proxy.faults >= 4


def test_access_denied_is_not_tried_again_and_shows_no_secret(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(storage.port, lambda _: 403) as proxy:
        behind(monkeypatch, proxy)
        with pytest.raises(StorageError, match="access denied") as raised:
            S3Folder(bucket).write("a", b"1")
        assert proxy.requests == 1
    assert SECRET not in str(raised.value)
    assert "canary-key-id" not in str(raised.value)


def test_storage_that_stays_away_is_given_up_after_a_number_of_tries(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_storage, "_ATTEMPTS", 3)
    with Proxy(storage.port, lambda _: 503) as proxy:
        behind(monkeypatch, proxy)
        with pytest.raises(TransientError, match="could not be reached in 3 tries"):
            S3Folder(bucket).read("a")
        assert proxy.requests == 3
