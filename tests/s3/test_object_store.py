"""A folder on disk and one in S3 are read and written alike: one suite runs over both."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.s3.servers import Proxy, S3Server
from trading_runtime.results.store import open_store
from trading_runtime.storage import s3
from trading_runtime.storage.folders import LocalFolder, open_folder
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.storage.object_store import ObjectStore


@pytest.fixture(params=["disk", "S3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A new folder in each of the two places."""
    if request.param == "disk":
        return open_folder(str(tmp_path / "folder"))
    return open_folder(f"{request.getfixturevalue('bucket')}/folder")


def test_what_is_written_is_read_listed_and_removed(folder: ObjectStore) -> None:
    assert folder.sizes() == {}
    folder.write("a", b"1")
    folder.write("b/c", b"22")
    folder.write("a", b"333")
    below = folder / "b"

    assert folder.sizes() == {"a": 3, "b/c": 2}
    assert folder.sizes("b") == {"b/c": 2}
    assert (folder.read("a"), below.read("c")) == (b"333", b"22")
    below.remove("c")
    below.remove("c")
    assert folder.sizes() == {"a": 3}
    with pytest.raises(FileNotFoundError):
        folder.read("b/c")


def test_an_object_is_read_from_a_place_on(folder: ObjectStore) -> None:
    folder.write("a", b"12345")
    folder.write("nothing", b"")

    assert [folder.read("a", start) for start in (0, 2, 4)] == [b"12345", b"345", b"5"]
    assert [folder.read("a", start) for start in (5, 6)] == [b"", b""]
    assert [folder.read("nothing", start) for start in (0, 1)] == [b"", b""]
    assert [folder.read("a", 0, most) for most in (3, 5, 9)] == [b"123", b"12345", b"12345"]
    assert [folder.read("a", 2, most) for most in (2, 9)] == [b"34", b"345"]
    assert [folder.read("nothing", 0, 9), folder.read("a", 5, 9)] == [b"", b""]
    for start, most in ((0, None), (1, None), (0, 9)):
        with pytest.raises(FileNotFoundError):
            folder.read("none", start, most)


def test_a_listing_names_what_is_in_some_folders_and_shows_what_changed(
    folder: ObjectStore,
) -> None:
    for name in ("runs/a/table", "runs/a/report/x/1.svg", "runs/b/lock", "runs/file"):
        folder.write(name, b"1")
    before = folder.listing("runs", "none")
    stamp = before.stamp("runs/b/lock")

    assert before.folders("runs") == ["a", "b"]
    assert before.names("runs/a") == ["runs/a/report/x/1.svg", "runs/a/table"]
    assert before.names("runs/a/report") == ["runs/a/report/x/1.svg"]
    assert before.names("none") == before.folders("none") == []
    assert before.stamp("runs/none") is None
    folder.write("runs/b/lock", b"22")
    after = folder.listing("runs", "none")
    assert stamp is not None
    assert after.stamp("runs/b/lock") not in {stamp, None}
    assert after.stamp("runs/b/lock") == folder.listing("runs").stamp("runs/b/lock")


def test_an_object_is_there_or_not_at_any_depth(folder: ObjectStore) -> None:
    folder.write("a/b", b"1")

    assert [folder.has(name) for name in ("a/b", "a", "c", "a/c")] == [True, False, False, False]


def test_a_prefix_is_a_folder_or_one_object_and_no_beginning_of_a_name(
    folder: ObjectStore,
) -> None:
    for name in ("a/b", "a/c/d", "ab"):
        folder.write(name, b"1")

    assert folder.sizes("a").keys() == folder.sizes("a/").keys() == {"a/b", "a/c/d"}
    assert folder.sizes("ab") == {"ab": 1}
    assert folder.sizes("none") == {}


def test_an_object_is_created_only_where_there_is_none(folder: ObjectStore) -> None:
    assert folder.create("a/b", b"1")
    assert folder.create("a/b", b"2") is None
    assert folder.read("a/b") == b"1"
    folder.remove("a/b")
    assert folder.create("a/b", b"2")


def test_of_many_that_create_an_object_one_does(folder: ObjectStore) -> None:
    contents = [b"%d" % number for number in range(8)]
    with ThreadPoolExecutor(len(contents)) as threads:
        created = list(threads.map(lambda content: folder.create("a", content), contents))

    won = [content for content, version in zip(contents, created, strict=True) if version]
    assert won == [folder.read("a")]


def test_an_object_is_replaced_only_while_it_has_the_version_that_was_read(
    folder: ObjectStore,
) -> None:
    first = folder.create("a", b"1")
    assert first
    assert folder.read_version("a") == (b"1", first)
    second = folder.replace("a", b"2", first)
    assert second
    assert folder.replace("a", b"3", first) is None
    assert folder.read("a") == b"2"
    folder.write("a", b"4")
    assert folder.replace("a", b"5", second) is None
    assert folder.replace("a", b"5", folder.read_version("a")[1])
    assert folder.read("a") == b"5"


def test_what_is_gone_is_not_replaced(folder: ObjectStore) -> None:
    version = folder.create("a", b"1")
    assert version
    folder.remove("a")

    assert folder.replace("a", b"2", version) is None
    assert not folder.has("a")


def test_of_many_that_replace_one_version_one_does(folder: ObjectStore) -> None:
    version = folder.create("a", b"first")
    assert version
    contents = [b"%d" % number for number in range(8)]
    with ThreadPoolExecutor(len(contents)) as threads:
        replaced = list(
            threads.map(lambda content: folder.replace("a", content, version), contents)
        )

    won = [content for content, new in zip(contents, replaced, strict=True) if new]
    assert won == [folder.read("a")]


def test_only_the_bytes_that_are_asked_for_come_from_s3(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Folder(bucket).write("a", bytes(1_000))
    with Proxy(storage.port, lambda _: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        assert S3Folder(bucket).read("a", 990) == bytes(10)
        assert proxy.bytes_answered == 10


def test_places_are_told_apart_by_their_form(tmp_path: Path, bucket: str) -> None:
    assert isinstance(open_folder(str(tmp_path)), LocalFolder)
    assert isinstance(open_folder(bucket), S3Folder)


def test_folders_are_named_and_their_newest_objects_come_first(folder: ObjectStore) -> None:
    for name in ("m/x.json", "a/x.json", "z/x.json", "b/y.json", "a/deep/x.json"):
        folder.write(f"runs/{name}", b"1")
        time.sleep(1.1)  # S3 stamps whole seconds
    folder.write("runs/m/x.json", b"2")
    folder.write("runs/x.json", b"no folder")

    assert folder.folders("runs") == ["a", "b", "m", "z"]
    assert folder.newest("runs", "x.json") == ["runs/m/x.json", "runs/z/x.json", "runs/a/x.json"]
    assert folder.folders("none") == folder.newest("none", "x.json") == []


def test_a_pod_asks_once_for_each_of_its_tasks_however_many_the_store_has(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"{number:064x}" for number in range(5)]
    S3Folder(bucket).write(f"tasks/{ids[3][:2]}/{ids[3]}/manifest.json", b"{}")
    with Proxy(storage.port, lambda _: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        assert open_store(bucket).stored_of(ids) == {ids[3]}
        assert proxy.requests == 5
