"""An archive of code has the same bytes anywhere, and nothing crafted gets out of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from trading_runtime.config import code_archive
from trading_runtime.config.code_archive import archive_name, pack_code, unpacked_code
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.folders import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

INDEX = json.dumps({"folder": ".", "search_paths": ["."]}).encode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An experiment's folder, a strategy beside it with a module of its own, and a library."""
    project = tmp_path / "project"
    for name, text in {
        "strategies/cross.py": "from signals import fast\n",
        "strategies/signals/__init__.py": "fast = 1\n",
        "library/prices.py": "tick = 2\n",
        "library/notes.txt": "not code\n",
        "experiments/x.json": "{}\n",
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return project


def pack(project: Path) -> bytes:
    folder = project / "experiments"
    code = find_strategy_code("../strategies/cross.py:Cross", folder, ["../library"])
    return pack_code(code, folder)


def stored(folder: Path, content: bytes, name: str | None = None) -> tuple[LocalFolder, str]:
    """Put an archive into a results folder; return the folder and the digest."""
    digest = hashlib.sha256(content).hexdigest()
    results = LocalFolder(folder / "results")
    results.write(name or archive_name(digest), content)
    return results, digest


def test_the_code_is_found_again_with_its_digest_by_the_same_relative_paths(
    project: Path, tmp_path: Path
) -> None:
    here = find_strategy_code(
        "../strategies/cross.py:Cross", project / "experiments", ["../library"]
    )
    with unpacked_code(*stored(tmp_path, pack(project))) as folder:
        there = find_strategy_code("../strategies/cross.py:Cross", folder, ["../library"])

    assert (there.digest, there.path) == (here.digest, here.path)
    assert [path.name for path in there.files] == ["prices.py", "cross.py", "__init__.py"]


def test_the_same_files_give_the_same_bytes_wherever_and_whenever_they_were_written(
    project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(project, copy)
    for path in copy.rglob("*.py"):
        path.chmod(0o755)
        os.utime(path, (0, 1_000_000_000))

    assert pack(copy) == pack(project)


def test_a_module_that_was_found_on_the_search_path_is_found_by_pods_too(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(project / "strategies"))
    code = find_strategy_code("signals:Fast", project / "experiments")
    content = pack_code(code, project / "experiments")
    monkeypatch.undo()
    before = list(sys.path)

    with unpacked_code(*stored(tmp_path, content)) as folder:
        assert find_strategy_code("signals:Fast", folder).digest == code.digest
    assert sys.path == before


def test_what_was_unpacked_cannot_be_changed_and_goes_afterwards(
    project: Path, tmp_path: Path
) -> None:
    with unpacked_code(*stored(tmp_path, pack(project))) as folder:
        top = folder.parent
        modes = {path.stat().st_mode & 0o777 for path in top.rglob("*") if path.is_file()}
        folders = {path.stat().st_mode & 0o777 for path in top.rglob("*") if path.is_dir()}
        assert (modes, folders) == ({0o444}, {0o555})
    assert not top.exists()


def test_other_bytes_under_the_name_are_refused(project: Path, tmp_path: Path) -> None:
    content = pack(project)
    digest = hashlib.sha256(content).hexdigest()
    results, _ = stored(tmp_path, content + b"\0", archive_name(digest))

    with (
        pytest.raises(DataError, match=f"{digest}.tar: its sha256 is not the one in its name"),
        unpacked_code(results, digest),
    ):
        pass


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"code/0{64}\.tar: there is no such archive"),
        unpacked_code(LocalFolder(tmp_path), "0" * 64),
    ):
        pass


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "", "0" * 63, f"{'0' * 64}\n"])
def test_a_digest_that_is_none_builds_no_path(tmp_path: Path, digest: str) -> None:
    with (
        pytest.raises(UsageError, match="is no sha256"),
        unpacked_code(LocalFolder(tmp_path), digest),
    ):
        pass


# --- crafted archives: the digest is right, the content is not ---


def archive(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return an archive of these members, each with its content, after a sound index."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for item in (regular("code.json", INDEX), *members):
            member, content = item if isinstance(item, tuple) else (item, b"")
            made.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def regular(name: str, content: bytes = b"x = 1\n") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def block(kind: bytes, content: bytes, name: str = "x") -> bytes:
    """Return a member as it is in an archive: its header, and its content."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, len(content)
    return member.tobuf(tarfile.GNU_FORMAT) + content + b"\0" * (-len(content) % 512)


SOUND = block(tarfile.REGTYPE, b"x = 1\n", "files/a.py")


def changed(key: bytes, value: bytes) -> bytes:
    """Return a sound member behind a header that changes a fact about it."""
    size = len(key) + len(value) + 3
    while size != len(line := b"%d %s=%s\n" % (size, key, value)):
        size = len(line)
    return block(tarfile.XHDTYPE, line) + SOUND


def endless(kind: bytes) -> bytes:
    """Return headers that each are about the next."""
    return block(kind, b"9 ab=cde\n") * 3_000 + SOUND


def after_index(*blocks: bytes) -> bytes:
    index = block(tarfile.REGTYPE, INDEX, "code.json")
    return index + b"".join(blocks) + b"\0" * 1_024


def indexed(content: object) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        member, text = regular("code.json", text)
        made.addfile(member, io.BytesIO(text))
    return packed.getvalue()


def many(count: int) -> Iterable[tuple[tarfile.TarInfo, bytes]]:
    return (regular(f"files/m{number}.py", b"") for number in range(count))


ATTACKS: dict[str, Callable[[], bytes]] = {
    "a symbolic link": lambda: archive(special("files/a.py", tarfile.SYMTYPE, "/etc/passwd")),
    "a link, then a file through it": lambda: archive(
        special("files/a.py", tarfile.SYMTYPE, "/var"), regular("files/a.py/b.py")
    ),
    "a hard link": lambda: archive(special("files/a.py", tarfile.LNKTYPE, "code.json")),
    "a character device": lambda: archive(special("files/a.py", tarfile.CHRTYPE)),
    "a block device": lambda: archive(special("files/a.py", tarfile.BLKTYPE)),
    "a fifo": lambda: archive(special("files/a.py", tarfile.FIFOTYPE)),
    "a folder": lambda: archive(special("files/a.py", tarfile.DIRTYPE)),
    "a type that nobody knows": lambda: archive(special("files/a.py", b"Z")),
    "a sparse file": lambda: archive(special("files/a.py", tarfile.GNUTYPE_SPARSE)),
    "an absolute path": lambda: archive(regular("/var/a.py")),
    "a path to the parent": lambda: archive(regular("files/../../a.py")),
    "a path to the parent at the start": lambda: archive(regular("../a.py")),
    "a path through the same folder": lambda: archive(regular("files/./a.py")),
    "an empty part of a path": lambda: archive(regular("files//a.py")),
    "a file beside the files": lambda: archive(regular("a.py")),
    "a file in place of the folder": lambda: archive(regular("files.py")),
    "a backslash": lambda: archive(regular("files/..\\a.py")),
    "an end of line in a name": lambda: archive(regular("files/a\n.py")),
    "a control character in a name": lambda: archive(regular("files/\x1b[2J.py")),
    "a name without end": lambda: archive(regular(f"files/{'a/' * 600}a.py")),
    "a part of a name without end": lambda: archive(regular(f"files/{'a' * 300}.py")),
    "no Python": lambda: archive(regular("files/a.so")),
    "a path configuration": lambda: archive(regular("files/a.pth")),
    "a file twice": lambda: archive(regular("files/a.py"), regular("files/a.py", b"")),
    "a file as a folder": lambda: archive(regular("files/a.py"), regular("files/a.py/b.py")),
    "a second index": lambda: archive(regular("code.json", INDEX)),
    "no index": lambda: b"\0" * 10_240,
    "an index that is no object": lambda: indexed([]),
    "an index with more": lambda: indexed({"folder": ".", "search_paths": [], "mode": "0777"}),
    "an index that leads out": lambda: indexed({"folder": "../..", "search_paths": []}),
    "an index with an absolute folder": lambda: indexed({"folder": "/var", "search_paths": []}),
    "an index that searches elsewhere": lambda: indexed({"folder": ".", "search_paths": ["/var"]}),
    "an index that searches above": lambda: indexed({"folder": ".", "search_paths": [".."]}),
    "an index of numbers": lambda: indexed({"folder": 1, "search_paths": [2]}),
    "an index without paths": lambda: indexed({"folder": ".", "search_paths": None}),
    "an index with a text of paths": lambda: indexed({"folder": ".", "search_paths": "ab"}),
    "an index with a mapping of paths": lambda: indexed({"folder": ".", "search_paths": {"a": 1}}),
    "an index without end": lambda: indexed(b"[" * 100_000),
    "an index that is no UTF-8": lambda: indexed(b"\xff\xfe"),
    "an index with a number of many digits": lambda: indexed(b"9" * 5_000),
    "headers of long names without end": lambda: after_index(endless(b"L")),
    "headers of long targets without end": lambda: after_index(endless(b"K")),
    "headers of facts without end": lambda: after_index(endless(b"x")),
    "headers of facts for all without end": lambda: after_index(endless(b"g")),
    "a header with a path to the parent": lambda: after_index(changed(b"path", b"../a.py")),
    "a header with an absolute path": lambda: after_index(changed(b"path", b"/var/a.py")),
    "a header with a path that has an end": lambda: after_index(changed(b"path", b"files/\0.py")),
    "a header with a path of a megabyte": lambda: after_index(
        changed(b"path", b"files/" + b"a/" * 500_000 + b"a.py")
    ),
    "a header with a size below zero": lambda: after_index(changed(b"size", b"-1")),
    "a header with a size beyond all numbers": lambda: after_index(changed(b"size", b"9" * 40)),
    "a header that makes a file sparse": lambda: after_index(changed(b"GNU.sparse.map", b"0,1")),
    "a header that has no length": lambda: after_index(block(b"x", b"0 a=b\n"), SOUND),
    "a header that is longer than it is": lambda: after_index(block(b"x", b"99 a=b\n"), SOUND),
    "a size below zero": lambda: after_index(SOUND[:124] + b"\xff" * 12 + SOUND[136:]),
    "something after its end": lambda: archive(regular("files/a.py")) + SOUND,
    "a name that is no UTF-8": lambda: archive(regular("files/\udcff.py")),
    "too many files": lambda: archive(*many(code_archive.MOST_FILES + 1)),
    "a file that is too large": lambda: archive(
        regular("files/a.py", b"#" * (code_archive.MOST_FILE_BYTES + 1))
    ),
    "files that are too large together": lambda: archive(
        *(regular(f"files/{n}.py", b"#" * code_archive.MOST_FILE_BYTES) for n in range(6))
    ),
    "an end that is missing": lambda: archive(regular("files/a.py", b"#" * 5_000))[:3_000],
    "a compressed archive": lambda: __import__("gzip").compress(archive(regular("files/a.py"))),
    "no archive": lambda: b"PK\x03\x04 a zip, say" * 100,
    "nothing": lambda: b"",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_crafted_archive_is_refused_and_leaves_nothing(
    attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    with (
        pytest.raises(DataError, match="is no archive of a strategy's code"),
        unpacked_code(*stored(tmp_path, ATTACKS[attack]())),
    ):
        pass

    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "scratch"]


def test_a_size_that_the_header_only_claims_is_refused(tmp_path: Path) -> None:
    content = bytearray(archive(regular("files/a.py")))
    at = content.index(b"files/a.py")
    content[at + 124 : at + 136] = b"77777777777\0"
    header = bytes(content[at : at + 512])
    total = sum(header[:148]) + 8 * 32 + sum(header[156:])
    content[at + 148 : at + 156] = f"{total:06o}\0 ".encode()

    with (
        pytest.raises(DataError, match="holds more than code ever does"),
        unpacked_code(*stored(tmp_path, bytes(content))),
    ):
        pass


def test_an_archive_without_an_attack_is_taken(tmp_path: Path) -> None:
    with unpacked_code(*stored(tmp_path, archive(regular("files/a/b.py")))) as folder:
        assert (folder / "a" / "b.py").read_bytes() == b"x = 1\n"


def test_code_that_is_too_large_is_not_packed(project: Path) -> None:
    (project / "strategies" / "table.py").write_bytes(b"#" * (code_archive.MOST_FILE_BYTES + 1))
    with (project / "strategies" / "cross.py").open("a") as file:
        file.write("import table\n")

    with pytest.raises(UsageError, match=r"the most in files/strategies/table\.py"):
        pack(project)
