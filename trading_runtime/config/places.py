"""Where the paths in an experiment file lead: relative ones start at the file's own folder."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/\s]+)*/?")


class PathError(ValueError):
    """The text leads nowhere that can be used."""


def resolve_path(text: str, folder: Path) -> Path:
    """Return the absolute path that ``text`` names, seen from ``folder``; ``~`` is the home folder.

    Raises ``PathError`` for an empty text, an address such as ``s3://``, and an unknown home.
    """
    if not text.strip():
        raise PathError("is empty; name a folder or file")
    if "://" in text:
        raise PathError(f"{text!r} is an address; name a local file or folder")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise PathError(f"{text!r}: the home folder is not known; write the whole path") from error
    # Not Path.resolve(): a link in the path is the user's choice and stays as written.
    return Path(os.path.normpath(folder / path))


def resolve_place(text: str, folder: Path) -> str:
    """Return the address in S3, or the absolute path, that ``text`` names, seen from ``folder``.

    Raises ``PathError`` as ``resolve_path`` does, and for any address but ``s3://bucket/prefix``.
    """
    if "://" not in text:
        return str(resolve_path(text, folder))
    if not _S3.fullmatch(text):
        raise PathError(f"{text!r} is not an address in S3; write s3://bucket/prefix, or a folder")
    return text.rstrip("/")
