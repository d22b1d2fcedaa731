"""An archive that was crafted to do harm is refused, and writes nothing outside its folder."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.errors import DataError, UsageError
from trading_runtime.evidence import bundle as archives
from trading_runtime.evidence.bundle import unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The files in these archives are no records.
pytestmark = pytest.mark.damages_journals

FILE = 0o100644 << 16
LINK = 0o120777 << 16
DEVICE = 0o020666 << 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the archive lies."""
    return tmp_path / "x.zip"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where it is unpacked to, deep enough that the way out of it can be seen."""
    return tmp_path / "a" / "b" / "c"


def entry(name: str, mode: int = FILE) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = mode
    info.filename = name
    return info


def write(
    path: Path,
    files: dict[str, bytes],
    *,
    modes: dict[str, int] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _listing: None,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Write an archive whose listing says that all is well."""
    listing: dict[str, Any] = {
        "format": 1,
        "run_id": "run",
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    change(listing)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(entry("evidence.json"), json.dumps(listing))
        for name, content in files.items():
            made.writestr(entry(name, (modes or {}).get(name, FILE)), content, compression)


def test_a_plain_archive_is_unpacked(path: Path, target: Path) -> None:
    write(path, {"runs/run/result.json": b"{}", "tasks/aa/b/orders.parquet": b"PAR1"})
    listing = unpack(path, target)

    assert listing.run_id == "run"
    assert (target / "runs/run/result.json").read_bytes() == b"{}"
    assert (target / "tasks/aa/b/orders.parquet").read_bytes() == b"PAR1"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "runs/run/../../../outside",
        "/etc/outside",
        "runs//run/x",
        "runs/./x",
        "./runs/run/x",
        "runs\\run\\..\\x",
        "C:/outside",
        "runs/run/\x00x",
        "runs/run/" + "d/" * 20 + "x",
        "runs/run/" + "x" * 300,
        "runs/run/.hidden",
        "runs/run/a b",
        "",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(path: Path, target: Path, name: str) -> None:
    write(path, {name: b"x"})
    before = sorted(path.parent.rglob("*"))

    with pytest.raises(DataError, match=re.escape(str(path))):
        unpack(path, target)
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize("name", ["runs/other/x", "code/x", "x", "evidence.json/x"])
def test_what_is_no_part_of_a_bundle_is_refused(path: Path, target: Path, name: str) -> None:
    write(path, {name: b"x"})

    with pytest.raises(DataError, match="belongs to no part of a bundle"):
        unpack(path, target)


@pytest.mark.parametrize("run_id", ["../x", "", "A", None, 7, "a/b"])
def test_a_run_id_that_is_none_is_refused(path: Path, target: Path, run_id: object) -> None:
    write(path, {}, change=lambda listing: listing.update(run_id=run_id))
    if run_id == 7:
        assert unpack(path, target).files == {}
        return
    with pytest.raises(DataError, match="run id"):
        unpack(path, target)


@pytest.mark.parametrize("mode", [LINK, DEVICE, 0o040755 << 16, 0], ids=hex)
def test_links_devices_and_folders_are_refused(path: Path, target: Path, mode: int) -> None:
    write(path, {"runs/run/x": b"/etc/passwd"}, modes={"runs/run/x": mode})

    with pytest.raises(DataError, match="a link, a folder or a device"):
        unpack(path, target)
    assert not target.exists()


def test_what_is_compressed_could_be_any_size_and_is_refused(path: Path, target: Path) -> None:
    write(path, {"runs/run/x": b"0" * 1_000_000}, compression=zipfile.ZIP_DEFLATED)

    with pytest.raises(DataError, match="compressed or encrypted"):
        unpack(path, target)


def test_two_files_of_one_name_are_refused(path: Path, target: Path) -> None:
    write(path, {"runs/run/x": b"1", "runs/run/y": b"2"})
    path.write_bytes(path.read_bytes().replace(b"runs/run/y", b"runs/run/x"))

    with pytest.raises(DataError, match="two files have one name"):
        unpack(path, target)


def test_files_that_overlap_are_refused(path: Path, target: Path) -> None:
    write(path, {f"runs/run/{number}": b"x" * 5_000 for number in range(3)})
    content = bytearray(path.read_bytes())
    starts = [found.start() for found in re.finditer(b"PK\x01\x02", content)]
    offset = content[starts[1] + 42 : starts[1] + 46]
    for start in starts[2:]:
        content[start + 42 : start + 46] = offset
    path.write_bytes(content)

    with pytest.raises(DataError, match=re.escape(str(path))):
        unpack(path, target)


def test_sizes_that_are_made_up_are_refused(path: Path, target: Path) -> None:
    write(path, {"runs/run/x": b"x"})
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + 20 : start + 28] = struct.pack("<LL", 1 << 30, 1 << 30)
    path.write_bytes(content)

    with pytest.raises(DataError, match="larger than the archive"):
        unpack(path, target)


def test_more_files_than_a_run_can_have_are_refused_before_they_are_read(
    path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, {f"runs/run/{number}": b"" for number in range(20)})
    monkeypatch.setattr(archives, "MOST_FILES", 20)
    monkeypatch.setattr(zipfile, "ZipFile", lambda _path: pytest.fail("it was read"))

    with pytest.raises(DataError, match="21 files are more than the 20"):
        unpack(path, target)


def test_a_directory_as_large_as_it_says_is_never_read(path: Path, target: Path) -> None:
    """A zip file of the large form states the size of its directory in 64 bits."""
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0)
    path.write_bytes(large + locator + end)

    with pytest.raises(DataError, match="more than the"):
        unpack(path, target)


def test_an_archive_that_is_too_large_is_refused(
    path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, {"runs/run/x": b"x" * 1_000})
    monkeypatch.setattr(archives, "MOST_BYTES", 1_000)

    with pytest.raises(DataError, match="more than the 1,000 that are accepted"):
        unpack(path, target)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x1f\x8b" + b"x" * 100, b"PK\x05\x06" + b"\0" * 18, b"x" * 5_000]
)
def test_what_is_no_bundle_is_said_to_be_none(path: Path, target: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(DataError, match=re.escape(str(path))):
        unpack(path, target)


@pytest.mark.parametrize(
    "change",
    [
        lambda listing: listing.update(format=2),
        lambda listing: listing.update(files=[]),
        lambda listing: listing.pop("files"),
        lambda listing: listing["files"].pop("runs/run/x"),
        lambda listing: listing["files"].update({"runs/run/z": {}}),
        lambda listing: listing["files"].update({"runs/run/x": {}}),
        lambda listing: listing["files"].update({"runs/run/x": None}),
        lambda listing: listing["files"]["runs/run/x"].update(bytes=2),
        lambda listing: listing["files"]["runs/run/x"].update(sha256="0" * 64),
    ],
)
def test_a_listing_that_does_not_fit_is_refused(
    path: Path, target: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    write(path, {"runs/run/x": b"x"}, change=change)

    with pytest.raises(DataError, match=re.escape(str(path))):
        unpack(path, target)


def test_a_file_that_is_not_there_is_a_mistake_of_the_command_line(
    path: Path, target: Path
) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        unpack(path, target)
