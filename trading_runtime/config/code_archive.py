"""The code of a strategy as one archive, for pods and machines that do not have it.

An archive is named by the sha256 of its bytes. The same files give the same bytes anywhere. It is
unpacked as untrusted input: regular files only, with names that stay inside, few and small,
verified first, read-only afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.config.strategy_code import RUNTIME
from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.s3 import is_s3
from trading_runtime.storage.scratch import Scratch
from trading_runtime.text import name_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.storage.object_store import ObjectStore

MOST_FILES = 2_001
MOST_FILE_BYTES = 10_000_000
MOST_BYTES = 50_000_000
_MOST_NAME_BYTES = 1_000
_INDEX = "code.json"
_PART = re.compile(r"[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def pack_code(code: StrategyCode, folder: Path) -> bytes:
    """Return the archive of a strategy's files, for an experiment file in ``folder``.

    Files keep their location relative to each other and to ``folder``, so that the experiment's own
    relative paths find them again. Raises ``UsageError`` when there are too many or they are too
    large.
    """
    # Every pod has the modules of the runtime's own package.
    files = [path for path in code.files if not path.is_relative_to(RUNTIME)]
    top = Path(os.path.commonpath([folder, *code.search_paths, *files]))
    members = {path.relative_to(top).as_posix(): path for path in files}
    index = {
        "folder": folder.relative_to(top).as_posix(),
        "search_paths": [path.relative_to(top).as_posix() for path in code.search_paths],
    }
    contents = {_INDEX: json.dumps(index, sort_keys=True).encode()}
    contents |= {f"files/{name}": members[name].read_bytes() for name in sorted(members)}
    _check_amount(contents)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o444
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def archive_name(sha256: str) -> str:
    """Return the name of an archive in a results folder."""
    return f"code/{sha256}.tar"


@contextlib.contextmanager
def unpacked_code(results: ObjectStore, sha256: str) -> Iterator[Path]:
    """Unpack the archive with this digest in a results folder, and remove it afterwards.

    Yields the folder that relative paths of code start from, in place of the experiment file's.
    Other folders where the strategy was found are searched for modules meanwhile. Raises
    ``UsageError`` for an invalid digest, ``DataError`` for an archive that is missing, has other
    bytes, or contains anything but regular files of Python code inside its own folder.
    """
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"code {sha256[:80]!r}: is no sha256; give its 64 hexadecimal digits")
    name = archive_name(sha256)
    shown = f"{results.url}/{name}"
    try:
        size = results.sizes("code").get(name, 0)
        if size > 2 * MOST_BYTES:
            raise DataError(f"{shown}: has {size:,} bytes, more than code ever has")
        content = results.read(name)
    except FileNotFoundError as error:
        raise DataError(f"{shown}: there is no such archive; submit the run again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{shown}: its sha256 is not the one in its name; submit the run again")
    scratch = Scratch()
    folder = scratch.path
    name_copy(str(folder / "files"), shown)
    searched: list[str] = []
    try:
        try:
            members = _members(content)
            index = _index(members.pop(_INDEX, b""))
            _write(folder, members)
            inside = folder / "files" / index["folder"]
            inside.mkdir(parents=True, exist_ok=True)
        except (ValueError, tarfile.TarError, OSError, UsageError, RecursionError) as error:
            raise DataError(f"{shown}: is no archive of a strategy's code: {error}") from error
        _set_modes(folder, files=0o444, folders=0o555)
        searched = [str(folder / "files" / path) for path in index["search_paths"]]
        sys.path.extend(searched)
        yield inside
    finally:
        for path in searched:
            sys.path.remove(path)
        _set_modes(folder, files=0o600, folders=0o700)
        scratch.remove()


@contextlib.contextmanager
def strategy_folder(
    results: ObjectStore, archive: str | None, experiment_file: str
) -> Iterator[Path]:
    """Yield the folder that relative paths of a planned strategy's code start from.

    It is made from the ``archive`` in the results, where there is one (see ``unpacked_code``). Else
    it is the experiment file's folder. Of a file in S3, or whose folder is not on this machine,
    nothing is used: the code is then in the installation, and an empty folder shadows none of it.
    """
    with contextlib.ExitStack() as stack:
        if archive:
            yield stack.enter_context(unpacked_code(results, archive))
        elif is_s3(experiment_file) or not Path(experiment_file).parent.is_dir():
            yield stack.enter_context(Scratch()).path
        else:
            yield Path(experiment_file).absolute().parent


def _members(content: bytes) -> dict[str, bytes]:
    """Return the files of an archive by name; raises ``ValueError`` for anything else in it."""
    found: dict[str, bytes] = {}
    total = 0
    # Uncompressed only, so it contains no more than its own size.
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        while (member := archive.next()) is not None:
            name = member.name
            shown = repr(name[:80])
            if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                raise ValueError(f"{shown} is a link, device or folder, and no regular file")
            _check_name(name)
            if name in found:
                raise ValueError(f"{shown} is in it twice")
            total += member.size
            if member.size > MOST_FILE_BYTES or total > MOST_BYTES or len(found) >= MOST_FILES:
                raise ValueError(f"with {shown} it holds more than code ever does")
            file = archive.extractfile(member)
            data = file.read() if file is not None else b""
            if len(data) != member.size:
                raise ValueError(f"{shown} is cut off")
            found[name] = data
        if any(content[archive.offset :]):
            raise ValueError("something in it is no file, and ends it early")
    return found


def _check_name(name: str) -> None:
    parts = name.split("/")
    sound = (
        len(name.encode(errors="surrogateescape")) <= _MOST_NAME_BYTES
        and all(_PART.fullmatch(part) and part not in (".", "..") for part in parts)
        and (name == _INDEX or (parts[0] == "files" and name.endswith(".py") and len(parts) > 1))
    )
    if not sound:
        raise ValueError(f"{name[:80]!r} is no name of a file of code")


def _index(content: bytes) -> dict[str, Any]:
    index = json.loads(content)
    if not isinstance(index, dict) or index.keys() != {"folder", "search_paths"}:
        raise ValueError(f"{_INDEX} does not say where the files belong")
    if not isinstance(index["search_paths"], list):
        raise ValueError(f"{_INDEX}: search_paths is no list")  # noqa: TRY004 - as the others
    paths = [index["folder"], *index["search_paths"]]
    for path in paths:
        # "." is the archive's root itself.
        if not isinstance(path, str) or (path != "." and ".." in path.split("/")):
            raise ValueError(f"{_INDEX}: {path!r} leads out of the archive")
        if path != ".":
            _check_name(f"files/{path}/x.py")
    return index


def _write(folder: Path, members: dict[str, bytes]) -> None:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)


def _set_modes(folder: Path, *, files: int, folders: int) -> None:
    for root, _, names in os.walk(folder):  # a folder before its content
        Path(root).chmod(folders)
        for name in names:
            (Path(root) / name).chmod(files)


def _check_amount(contents: dict[str, bytes]) -> None:
    largest = max(contents, key=lambda name: len(contents[name]))
    total = sum(len(content) for content in contents.values())
    if len(contents[largest]) > MOST_FILE_BYTES or total > MOST_BYTES:
        raise UsageError(
            f"strategy.path: the strategy's code has {total:,} bytes, the most in {largest} "
            f"({len(contents[largest]):,}); at most {MOST_BYTES:,} and {MOST_FILE_BYTES:,} in one "
            "file are sent to pods"
        )
