"""The commands ``evidence``: bundle everything that proves a run, check a bundle, compare two."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trading_runtime.cli.options import JSON, RESULTS, print_findings
from trading_runtime.cli.terminal import print_table, say
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.evidence.comparison import EvidenceComparison, Side

_PARTS = ("inputs", "environment", "results", "record")
_WIDEST = 40


@click.group()
def evidence() -> None:
    """Bundle everything that proves a run; check and compare bundles."""


@evidence.command("bundle")
@click.argument("run")
@RESULTS
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; RUN.evidence.zip in this folder if not given.",
)
@click.option(
    "--sign",
    "key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A private SSH key; the signature is written beside the archive, as FILE.sig.",
)
@JSON
def bundle(run: str, results: str, target: Path | None, key: Path | None, *, as_json: bool) -> None:
    """Write one archive with everything that proves RUN (a run id, or 'latest'); print its sha256.

    The same content gives the same bytes. Keep the sha256 elsewhere: 'evidence check' compares it.
    """
    from trading_runtime.cli.options import find_run
    from trading_runtime.evidence.bundle import SUFFIX, bundle_run, refuse_running
    from trading_runtime.evidence.signature import sign
    from trading_runtime.runs.opening import is_running

    store, run_id = find_run(run, results)
    refuse_running(run_id, running=is_running(store, run_id))
    files = store.run(run_id)
    # The report too: a run writes it only on request.
    store.fetch(f"runs/{run_id}/")
    written = bundle_run(store, files, target or Path(f"{run_id}{SUFFIX}"))
    signature = None if key is None else sign(written.path, key)
    if as_json:
        content = {**vars(written), "path": str(written.path), "run_id": run_id}
        content["signature"] = None if signature is None else str(signature)
        say(json.dumps(content, ensure_ascii=False))
        return
    say(f"bundle  {written.path}")
    say(f"sha256  {written.sha256}")
    say(f"holds   {written.files:,} files, {written.tasks:,} results, {written.bytes:,} bytes")
    if signature is not None:
        say(f"signed  {signature}")


@evidence.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sha256", help="The sha256 of the archive that was noted when it was made.")
@click.option(
    "--signer",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A public SSH key (KEY.pub), or a file of allowed signers; FILE.sig must be by one of "
    "them.",
)
@JSON
def check(file: Path, sha256: str | None, signer: Path | None, *, as_json: bool) -> int:
    """Check the bundle FILE on its own: bytes, journal, results, digests."""
    from trading_runtime.evidence.checking import check_evidence
    from trading_runtime.evidence.signature import check_signature

    found = check_evidence(file, sha256)
    signed_by = None if signer is None else check_signature(file, signer)
    if as_json:
        content = {
            **vars(found),
            "signed_by": signed_by,
            "sound": not found.findings,
            "findings": [vars(item) for item in found.findings],
            "notes": [vars(item) for item in found.notes],
        }
        say(json.dumps(content, ensure_ascii=False))
    else:
        verdict = print_findings(found.findings, found.notes)
        say(
            f"{found.run_id}: {verdict}; {found.files:,} files, {found.tasks:,} results, "
            f"{found.lines:,} lines of the journal"
        )
        say(f"sha256 {found.sha256}")
        if signed_by is not None:
            say(f"signed by {signed_by}")
    return (Kind.DATA if found.findings else Kind.OK).exit_code


@evidence.command("compare")
@click.argument("first")
@click.argument("second")
@RESULTS
@JSON
def compare(first: str, second: str, results: str, *, as_json: bool) -> int:
    """Compare two runs: inputs, environment and results side by side.

    FIRST and SECOND are run ids, or the paths of bundles. Exit code 0 when these are the same,
    wherever, whenever and by whomever they were run, else 11.
    """
    from trading_runtime.evidence.comparison import compare_evidence, evidence_document

    with _side(first, results) as one, _side(second, results) as other:
        found = compare_evidence(one, other)
    if as_json:
        say(json.dumps(evidence_document(found), ensure_ascii=False))
    else:
        _print(found, first, second)
    return (Kind.OK if found.same else Kind.DIFFERS).exit_code


@contextlib.contextmanager
def _side(name: str, results: str) -> Iterator[Side]:
    from trading_runtime.cli.options import find_run
    from trading_runtime.evidence.checking import opened
    from trading_runtime.evidence.comparison import Side

    # A run id has neither of these.
    if "/" in name or name.endswith(".zip"):
        with opened(Path(name)) as bundle:
            yield Side(name, bundle.store, bundle.listing.run_id)
    else:
        store, run_id = find_run(name, results)
        yield Side(name, store, run_id)


def _print(found: EvidenceComparison, first: str, second: str) -> None:
    from trading_runtime.cli.verification import print_runs

    lines = [["", "", "", first, second]]
    for part in _PARTS:
        for row in found.rows:
            # Only the packages that differ: there are dozens.
            if row.part == part and not (row.same and row.what.startswith("package ")):
                mark = "" if row.same else "*"
                lines.append([mark, part, row.what, row.first, row.second])
    print_table([cell[:_WIDEST] for cell in line] for line in lines)
    print_runs(found.runs, (first, second))
    say("same" if found.same else "different; * marks what is not the same")
