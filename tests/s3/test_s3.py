"""One folder in S3: whole objects, conditional writes, retries, and errors that name no secret."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.s3.conftest import SECRET
from tests.s3.servers import Proxy, S3Server
from trading_runtime.errors import DataError, StorageError, TransientError, UsageError
from trading_runtime.storage import s3
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable


def behind(monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    """Lead all requests through ``proxy`` from now on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    s3._opened.cache_clear()


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
    monkeypatch.setattr(s3, "_ATTEMPTS", 3)
    with Proxy(storage.port, lambda _: 503) as proxy:
        behind(monkeypatch, proxy)
        with pytest.raises(TransientError, match="could not be reached in 3 tries"):
            S3Folder(bucket).read("a")
        assert proxy.requests == 3


@pytest.mark.parametrize(
    "name", ["größe", "a b", "a%20b", "a#b", "a?b", "a+b&c=d", "[a]^~|*", "a:b"]
)
def test_a_name_is_kept_letter_by_letter(name: str, bucket: str, storage: S3Server) -> None:
    folder = S3Folder(f"{bucket}/results")
    folder.write(name, b"1")
    assert (folder.read(name), folder.sizes()) == (b"1", {name: 1})
    storage.put(f"{bucket.removeprefix('s3://')}/others/{quote(name)}", b"22")
    others = S3Folder(f"{bucket}/others")
    assert (others.read(name), others.sizes(name)) == (b"22", {name: 2})


def test_folders_that_a_console_made_are_no_objects(bucket: str, storage: S3Server) -> None:
    folder = S3Folder(f"{bucket}/results")
    folder.write("runs/one/stop", b"")
    for path in ("results/", "results/runs/", "results/runs/one/"):
        storage.put(f"{bucket.removeprefix('s3://')}/{path}")

    assert folder.sizes() == {"runs/one/stop": 0}
    assert folder.sizes("runs/one/") == {"runs/one/stop": 0}


@pytest.mark.parametrize("name", ["a//b", "../a", "a/./b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, bucket: str) -> None:
    for call in (S3Folder(bucket).read, S3Folder(bucket).has, S3Folder(bucket).remove):
        with pytest.raises(DataError, match="is no file"):
            call(name)
    with pytest.raises(UsageError, match="leave out '//'"):
        S3Folder(f"{bucket}/{name}")


def test_a_large_object_may_take_its_time(bucket: str) -> None:
    folder = S3Folder(bucket)
    content = bytes(s3._LARGE_BYTES + 1)
    assert folder.create("a", content)
    assert not folder.create("a", content)
    folder.write("a", content[::-1])
    assert folder.read("a") == content


def test_many_objects_are_removed_at_once_and_told_with_their_times(bucket: str) -> None:
    folder = S3Folder(f"{bucket}/results")
    before = int(time.time())
    for name in ("a", "b/c"):
        folder.write(name, b"1")
    found = folder.sizes_and_times()
    assert {name: size for name, (size, _) in found.items()} == {"a": 1, "b/c": 1}
    assert all(before <= moment <= time.time() for _, moment in found.values())
    folder.remove_all(["a", "b/c", "d"])
    assert folder.sizes() == {}
