"""Where the paths in an experiment file lead: relative ones start at the file's own folder."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/\s]+)*/?")


class PathError(ValueError):
    """The text is not a usable path."""


def resolve_path(text: str, folder: Path) -> Path:
    """Return the absolute path of ``text``, relative to ``folder``; ``~`` is the home folder.

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


def resolve_place(text: str, folder: str | Path) -> str:
    """Return the S3 address or the absolute path that ``text`` names, relative to ``folder``.

    ``folder`` may be an address in S3 itself; a relative text then stays in its bucket. Raises
    ``PathError`` as ``resolve_path`` does, for a relative text that leaves the bucket, and for any
    address other than ``s3://bucket/prefix``.
    """
    if "://" in text:
        return _checked(text, text)
    if not str(folder).startswith("s3://") or text.startswith("/"):
        return str(resolve_path(text, Path(folder)))
    if text.startswith("~"):
        raise PathError(f"{text!r}: a file in S3 has no home folder; write the whole path")
    if not text.strip():
        raise PathError("is empty; name a folder or file")
    bucket, _, prefix = str(folder).removeprefix("s3://").partition("/")
    inside = os.path.normpath(f"{prefix}/{text}".lstrip("/"))
    if inside == ".." or inside.startswith("../"):
        raise PathError(f"{text!r} leads out of the bucket of {folder}")
    return _checked(f"s3://{bucket}/{inside}".removesuffix("/."), text)


def _checked(address: str, text: str) -> str:
    if not _S3.fullmatch(address):
        raise PathError(f"{text!r} is not an address in S3; write s3://bucket/prefix, or a folder")
    return address.rstrip("/")
