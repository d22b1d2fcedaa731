"""What can be told from the bytes of a result's manifest, without parsing all of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def sound_digest(content: bytes) -> str:
    """Return the sha256 of a manifest; raises ``ValueError`` unless it is as it was written."""
    check_digest(content)
    return hashlib.sha256(content).hexdigest()


def check_digest(content: bytes) -> None:
    """Raise ``ValueError`` unless ``content`` is a manifest as it was written.

    Its first key is the digest of the others, and both are canonical JSON: what is hashed are the
    very bytes behind it.
    """
    start, stated, rest = content[:11], content[11:75], content[75:]
    if start != b'{"digest":"' or rest[:2] != b'",' or rest[-2:] != b"}\n":
        raise ValueError("it is not written as manifests are")
    if hashlib.sha256(b"{" + rest[2:-1]).hexdigest() != stated.decode(errors="replace"):
        raise ValueError("it was changed")


def files_of(content: bytes) -> Any:
    """Return ``files`` of a manifest, without parsing its far larger inputs where they follow."""
    start = content.find(b'"files":{') + len(b'"files":')
    end = content.find(b'},"format":', start)
    if content.startswith(b'{"digest":"') and start > 0 and end > 0:
        return json.loads(content[start : end + 1])
    return json.loads(content)["files"]
