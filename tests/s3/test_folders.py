"""A folder on disk and one in S3 are read and written alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.s3.servers import Proxy, S3Server
from trading_runtime import object_storage
from trading_runtime.object_storage import S3Folder
from trading_runtime.results.folders import LocalFolder, open_folder
from trading_runtime.results.opening import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.results.folders import Folder


@pytest.fixture(params=["disk", "S3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A new folder in each of the two places."""
    if request.param == "disk":
        return open_folder(str(tmp_path / "folder"))
    return open_folder(f"{request.getfixturevalue('bucket')}/folder")


def test_what_is_written_is_read_listed_and_removed(folder: Folder) -> None:
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


def test_places_are_told_apart_by_their_form(tmp_path: Path, bucket: str) -> None:
    assert isinstance(open_folder(str(tmp_path)), LocalFolder)
    assert isinstance(open_folder(bucket), S3Folder)


def test_an_object_is_there_or_not(bucket: str) -> None:
    folder = S3Folder(bucket)
    folder.write("a/b", b"1")

    assert [folder.has(name) for name in ("a/b", "a", "a/", "c")] == [True, False, False, False]


def test_the_newest_object_comes_first(bucket: str) -> None:
    folder = S3Folder(bucket)
    for name in ("m/x.json", "a/x.json", "z/x.json", "b/y.json"):
        folder.write(name, b"1")
        time.sleep(1.1)  # the storage stamps whole seconds
    folder.write("m/x.json", b"2")

    assert folder.newest("", "x.json") == ["m/x.json", "z/x.json", "a/x.json"]


def test_a_pod_asks_once_for_each_of_its_tasks_however_many_the_store_has(
    bucket: str, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"{number:064x}" for number in range(5)]
    S3Folder(bucket).write(f"tasks/{ids[3][:2]}/{ids[3]}/manifest.json", b"{}")
    with Proxy(storage.port, lambda _: None) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        object_storage._opened.cache_clear()
        assert open_store(bucket).stored_of(ids) == {ids[3]}
        assert proxy.requests == 5
