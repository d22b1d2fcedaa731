"""The sealed end of a run: the sha256 of every file of it, in metadata that have one of their own.

Whoever changes, removes or adds a file of a run that has ended is noticed. Whoever writes files,
digests and seal anew is not: that takes a signature over a bundle (``evidence bundle --sign``).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from trading_runtime.redaction import redacted
from trading_runtime.storage.files import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trading_runtime.records.run_files import RunFiles

_FILES, _SEAL = "files", "seal"


def sealed_paths(files: RunFiles) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every file that belongs to the end of a run.

    Left out are the metadata, which hold the digests of the others, lock and request to stop,
    names with a leading dot, which a killed writer left, and parts of a journal without a line,
    which others never see.
    """
    for path in sorted(files.folder.rglob("*")):
        name = path.relative_to(files.folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        is_file = path.is_file() or path.is_symlink()
        if not is_file or hidden or path in {files.metadata, files.lock, files.stop}:
            continue
        if files.journals not in path.parents or path.is_symlink() or path.stat().st_size:
            yield name, path


def file_digests(files: RunFiles) -> dict[str, str]:
    """Return the sha256 of every file that belongs to the end of a run, by its name."""
    return {name: file_sha256(path) for name, path in sealed_paths(files)}


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(content: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of a run whose files have these digests, with their seal."""
    whole: dict[str, Any] = redacted({**content, _FILES: dict(sorted(digests.items()))})
    return whole | {_SEAL: hashlib.sha256(_text(whole)).hexdigest()}


def unsealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without digests and seal: those of a run that is about to change."""
    return {key: value for key, value in content.items() if key not in {_FILES, _SEAL}}


def is_sealed_as(stored: bytes, content: Mapping[str, Any]) -> bool:
    """Return whether ``metadata.json``, read as ``content``, is byte for byte what was sealed."""
    whole = {key: value for key, value in content.items() if key != _SEAL}
    seal = hashlib.sha256(_text(whole)).hexdigest()
    return content.get(_SEAL) == seal and stored == _text(whole | {_SEAL: seal})


def write_metadata(files: RunFiles, content: Mapping[str, Any]) -> None:
    """Write ``metadata.json``, without what is secret."""
    # The first of its folder is the experiment; a folder that is gone since was taken away.
    write_file(files.metadata, _text(redacted(dict(content))), in_new_folder=False)


def _text(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    # A lone surrogate, which a message of a strategy may hold, has no UTF-8.
    return text.encode(errors="backslashreplace")
