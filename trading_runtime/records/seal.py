"""The sealed end of a run: the sha256 of each of its files, in metadata with a sha256 of their own.

A changed, removed or added file of an ended run is noticed. Rewriting files, digests and seal
together is not: detecting that takes a signature over a bundle (``evidence bundle --sign``).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trading_runtime.redaction import redacted
from trading_runtime.storage.files import file_sha256, write_file
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.run_files import RunFiles


_UNFINISHED = re.compile(r"\.(.+)\.[0-9]+")
"""The temporary name of a file."""


def run_paths(files: RunFiles) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every file and link in a run's folder, by name.

    Names with a leading dot, left by a killed writer, are left out.
    """
    for path in sorted(files.folder.rglob("*")):
        name = path.relative_to(files.folder).as_posix()
        is_file = path.is_file() or path.is_symlink()
        if is_file and not any(part.startswith(".") for part in name.split("/")):
            yield name, path


def stray_names(files: RunFiles) -> Iterator[str]:
    """Yield, by name, what ``run_paths`` leaves out and no run has.

    These are hidden files, FIFOs, devices, and empty folders. What a killed writer left is no stray
    (see ``storage.files.write_file``).
    """
    may_be_empty = {files.failures, files.logs, files.session, files.report_page.parent}
    for path in sorted(files.folder.rglob("*")):
        parts = path.relative_to(files.folder).parts
        is_hidden = any(part.startswith(".") for part in parts)
        if path.is_dir() and not path.is_symlink():
            is_own = path in may_be_empty or path.is_relative_to(files.journals)
            if not is_own and not any(path.iterdir()):
                yield "/".join(parts)
            continue
        if path.is_file() or path.is_symlink():
            if not is_hidden:
                continue
            unfinished = _UNFINISHED.fullmatch(path.name)
            if unfinished and path.with_name(unfinished[1]).is_file():
                continue
        yield "/".join(parts)


def sealed_paths(files: RunFiles) -> Iterator[tuple[str, Path]]:
    """Yield name and path of every file that belongs to the end of a run.

    These are left out: the metadata, which contain the digests of the others; what belongs to a run
    at work, such as its lock; the logs, which grow after the end; and journal parts without a
    line, which others never see.
    """
    for name, path in run_paths(files):
        if path == files.metadata or files.is_unsealed(path):
            continue
        if files.journals not in path.parents or path.is_symlink() or path.stat().st_size:
            yield name, path


def file_digests(files: RunFiles) -> dict[str, str]:
    """Return the sha256 of every file that belongs to the end of a run, by its name."""
    return {name: file_sha256(path) for name, path in sealed_paths(files)}


def sealed(metadata: RunMetadata, digests: Mapping[str, str]) -> RunMetadata:
    """Return the metadata of a run whose files have these digests, including their seal."""
    whole = replace(metadata, files=dict(sorted(digests.items())), seal=None)
    return replace(whole, seal=_seal_of(redacted(whole.to_document())))


def unsealed(metadata: RunMetadata) -> RunMetadata:
    """Return metadata without digests and seal, for a run that is about to change."""
    return replace(metadata, files=None, seal=None)


def is_sealed_as(stored: bytes) -> bool:
    """Return whether the bytes of a ``metadata.json`` are exactly what was sealed."""
    content = json.loads(stored)
    seal = content.pop("seal", None)
    return seal == _seal_of(content) and stored == _text(content | {"seal": seal})


def write_metadata(files: RunFiles, metadata: RunMetadata) -> None:
    """Write ``metadata.json``, without secrets."""
    # The experiment is the first file in the folder; a folder missing since then was removed.
    write_file(files.metadata, _text(redacted(metadata.to_document())), in_new_folder=False)


def _seal_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(content)).hexdigest()


def _text(content: Mapping[str, Any]) -> bytes:
    return for_records(json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
