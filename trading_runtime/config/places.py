"""Where the paths in an experiment file lead: relative ones start at the file's own folder."""

from __future__ import annotations

import os.path
from pathlib import Path


class PathError(ValueError):
    """The text leads nowhere that can be used."""


def resolve_path(text: str, folder: Path) -> Path:
    """Return the absolute path that ``text`` names, seen from ``folder``; ``~`` is the home folder.

    Raises ``PathError`` for an empty text, an address such as ``s3://``, and an unknown home.
    """
    if not text.strip():
        raise PathError("is empty; name a folder or file")
    if "://" in text:
        scheme = text.partition("://")[0]
        raise PathError(
            f"{text!r}: addresses with {scheme}:// cannot be read yet; name a local folder"
        )
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise PathError(f"{text!r}: the home folder is not known; write the whole path") from error
    # Not Path.resolve(): a link in the path is the user's choice and stays as written.
    return Path(os.path.normpath(folder / path))
