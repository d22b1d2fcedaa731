"""The manifest of a task's result, typed: its inputs, and every file with its sha256."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.records.forms import check_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trading_runtime.records.forms import Form

MANIFEST = "manifest.json"
"""The file of a result that lists the others; its name in the folder of the result."""
MANIFEST_FORMAT = 1
_FORM: Form = {
    "task_id": str,
    "inputs": {"common": dict, "config": dict, "partition": dict},
    "files": dict,
}
_FACTS = itemgetter("bytes", "rows", "sha256")


class ResultFile(NamedTuple):
    """One file of a result."""

    bytes: int
    rows: int | None
    """Rows of a table."""
    sha256: str


@dataclass(frozen=True, slots=True)
class TaskManifest:
    """The content of a result's ``manifest.json``."""

    task_id: str
    inputs: Mapping[str, Any]
    """``common``, ``config`` and ``partition``: the inputs that the task id is the digest of."""
    files: Mapping[str, ResultFile]

    def to_bytes(self) -> bytes:
        """Return the content of the file, with its own digest.

        With it, a damaged manifest cannot be taken for a sound one.
        """
        content: dict[str, Any] = {
            "format": MANIFEST_FORMAT,
            "task_id": self.task_id,
            "inputs": self.inputs,
            "files": {name: file._asdict() for name, file in self.files.items()},
        }
        content["digest"] = digest(content)
        return canonical_json(content) + b"\n"


def parse_manifest(content: bytes) -> TaskManifest:
    """Return the manifest in the bytes of its file; raises ``ValueError`` unless it is intact."""
    check_digest(content)
    document = json.loads(content)
    check_form(document, _FORM)
    return TaskManifest(document["task_id"], document["inputs"], _files(document["files"]))


def inputs_digests(content: bytes) -> tuple[str, str, str] | None:
    """Return the digests of ``common``, ``config`` and ``partition``, without parsing them.

    They are canonical JSON already, and are found by the keys between them. A part may contain such
    keys as well, and then these are digests of something else: only if they give the id of the task
    are they the right ones. ``None`` when there are no such keys.
    """
    common = content.find(b',"inputs":{"common":{')
    config = content.find(b'},"config":{', common)
    end = content.rfind(b'}},"task_id":"')
    partition = content.rfind(b'},"partition":{', config, end)
    if not 0 < common < config < partition < end:
        return None
    return (
        _sha256(content[common + len(b',"inputs":{"common":') : config + 1]),
        _sha256(content[config + len(b'},"config":') : partition + 1]),
        _sha256(content[partition + len(b'},"partition":') : end + 1]),
    )


def files_of(content: bytes) -> dict[str, ResultFile]:
    """Return the files that a manifest states; raises ``ValueError`` when it is no manifest."""
    return _files(_section(content))


def sizes_of(content: bytes) -> dict[str, int]:
    """Return the bytes of each file that a manifest states; raises as ``files_of`` does.

    Planning asks for them for each of 100,000 tasks, and for nothing else.
    """
    try:
        return {name: facts["bytes"] for name, facts in _section(content).items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("files is of the wrong form") from error


def _section(content: bytes) -> dict[str, Any]:
    """Return ``files`` of a manifest, without parsing its far larger inputs where they follow."""
    start = content.find(b'"files":{') + len(b'"files":')
    end = content.find(b'},"format":', start)
    if content.startswith(b'{"digest":"') and start > 0 and end > 0:
        document = {"files": json.loads(content[start : end + 1])}
    else:
        document = json.loads(content)
    check_form(document, {"files": dict})
    section: dict[str, Any] = document["files"]
    return section


def sound_digest(content: bytes) -> str:
    """Return the sha256 of a manifest; raises ``ValueError`` unless it is intact."""
    check_digest(content)
    return _sha256(content)


def check_digest(content: bytes) -> None:
    """Raise ``ValueError`` unless ``content`` is an intact manifest.

    Its first key is the digest of the others, and both are canonical JSON: the bytes after that key
    are hashed as they are.
    """
    start, stated, rest = content[:11], content[11:75], content[75:]
    if start != b'{"digest":"' or rest[:2] != b'",' or rest[-2:] != b"}\n":
        raise ValueError("it is not written as manifests are")
    if _sha256(b"{" + rest[2:-1]) != stated.decode(errors="replace"):
        raise ValueError("it was changed")


def _files(section: Mapping[str, Mapping[str, Any]]) -> dict[str, ResultFile]:
    # Called for each of 100,000 results: a general check would take as long as reading them.
    try:
        return {name: ResultFile._make(_FACTS(facts)) for name, facts in section.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("files is of the wrong form") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
