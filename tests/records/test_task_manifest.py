"""The manifest of a result reads back as it was written, and what was changed is refused."""

from __future__ import annotations

import hashlib
import json

import pytest

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.records.task_manifest import (
    ResultFile,
    TaskManifest,
    files_of,
    inputs_digests,
    parse_manifest,
    sizes_of,
    sound_digest,
)

INPUTS = {"common": {"engine": "2.0"}, "config": {"every": 20}, "partition": {"start": 1}}
FILES = {"equity.parquet": ResultFile(120, 3, "a" * 64), "summary.json": ResultFile(9, None, "b")}
MANIFEST = TaskManifest("0" * 64, INPUTS, FILES)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    content = MANIFEST.to_bytes()

    assert parse_manifest(content) == MANIFEST
    assert files_of(content) == FILES
    assert sizes_of(content) == {"equity.parquet": 120, "summary.json": 9}
    assert sound_digest(content) == hashlib.sha256(content).hexdigest()


def test_its_digest_is_that_of_everything_else_in_it() -> None:
    document = json.loads(MANIFEST.to_bytes())
    stated = document.pop("digest")

    assert stated == hashlib.sha256(canonical_json(document)).hexdigest()
    assert document["files"]["equity.parquet"] == {"bytes": 120, "rows": 3, "sha256": "a" * 64}


def test_the_parts_of_its_inputs_have_the_digests_of_what_they_say() -> None:
    expected = tuple(digest(INPUTS[name]) for name in ("common", "config", "partition"))

    assert inputs_digests(MANIFEST.to_bytes()) == expected
    assert inputs_digests(MANIFEST.to_bytes().replace(b'"partition"', b'"window"')) is None
    assert inputs_digests(b"{}") is None


def test_a_changed_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="it was changed"):
        parse_manifest(MANIFEST.to_bytes().replace(b'"every":20', b'"every":21'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "files is missing"),
        (b"[]", "the document is no mapping"),
        (b'{"files": {"a": {"bytes": 1}}}', "files is of the wrong form"),
        (b'{"files": {"a": 3}}', "files is of the wrong form"),
    ],
)
def test_what_names_no_files_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        files_of(content)
