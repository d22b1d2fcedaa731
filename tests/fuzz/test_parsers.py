"""Every parser of what others may have written: any bytes are read, or refused as the docs say.

``make fuzz`` tries many more (``FUZZ_EXAMPLES``), from another beginning each time.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.small_experiment import ROOT, SmallExperiment
from trading_runtime.config.code_archive import archive_name, pack_code, unpacked_code
from trading_runtime.config.deployment import load_deployment
from trading_runtime.config.loading import experiment_of, load_experiment
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.manifest import read_manifest
from trading_runtime.datasets.parts import PartedPreparation
from trading_runtime.deployments.state import DeploymentState, Request, SupervisorFolder
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import DataError, TradingRuntimeError
from trading_runtime.evidence.bundle import bundle_run, unpack
from trading_runtime.execution.workers.answers import GarbledError, read_answer
from trading_runtime.operations.reconciliation import read_snapshot
from trading_runtime.records.account import (
    AccountState,
    HeldPosition,
    LeaseRecord,
    parse_account,
    parse_lease,
)
from trading_runtime.records.journal import parse_line, whole_lines
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.result import read_result
from trading_runtime.records.run_files import RunFiles
from trading_runtime.records.trials import read_trials
from trading_runtime.results.holdout import HoldOut, record_holdout, recorded_holdouts
from trading_runtime.results.ledger import entries
from trading_runtime.results.store import Store
from trading_runtime.search.asking import Asked, SearchInputs
from trading_runtime.search.generations import keep_generation, name_of, read_generation
from trading_runtime.storage.folders import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
TOKENS = [
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"{", b"}", b"[" * 500, b'"', b"null", b"-1", b"1e999",
    b"NaN", b"9" * 400, b"true", b'{"a":1,"a":2}', b"\r\n", b"..", b"/", b"=", b"\x1b[31m",
    b"&x *x",     b"!!python/object:os.system", b"\xe2\x80\xae", b"PK\x05\x06",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Draw a sound document with some of it cut out, doubled or replaced."""
    content = sound
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        last = min(len(content), first + draw(st.sampled_from([0, 1, 2, 8, 60, 10_000])))
        piece = draw(
            st.sampled_from(TOKENS) | st.binary(max_size=8) | st.just(content[first:last] * 2)
        )
        content = content[:first] + piece + content[last:]
    return content


def parted(folder: Path) -> PartedPreparation:
    """Return the preparation of a dataset of three bars, whose parts lie in a folder."""
    bars = {
        "type": "bars", "instrument": "BTCUSD.X", "files": "x.csv", "bar": "1-MINUTE-LAST",
        "timestamp_format": "s", "timestamp_marks": "open",
    }  # fmt: skip
    instrument = {
        "type": "CurrencyPair", "id": "BTCUSD.X", "base_currency": "BTC", "quote_currency": "USD",
        "price_increment": "1", "size_increment": "1",
    }  # fmt: skip
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    lines = [f"{1_704_067_200 + 60 * number},1,1,1,1,1" for number in range(3)]
    head = "timestamp,open,high,low,close,volume"
    (source / "x.csv").write_text("\n".join([head, *lines]) + "\n")
    (source / "instruments.json").write_text(json.dumps([instrument]))
    content = {"instruments": "instruments.json", "series": [bars]}
    (source / "x.data.json").write_text(json.dumps(content))
    loaded = load_preparation(source / "x.data.json")
    return PartedPreparation(
        loaded, read_instruments(loaded.instrument_files), LocalFolder(folder / "made")
    )


@pytest.fixture(scope="module")
def sound(
    ended: SmallExperiment, small_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, bytes]:
    """A sound document of each kind."""
    folder = tmp_path_factory.mktemp("sound")
    store = Store(ended.results)
    bundle = folder / "bundle.zip"
    bundle_run(store, store.run("whole"), bundle)
    code = find_strategy_code("failing.py:Failing", ended.folder)
    journal = ended.run_file("whole", "journal.jsonl").read_bytes()
    snapshot = {"orders": [{"order_id": "O-1", "quantity": "1", "status": "FILLED"}]}
    kept = SupervisorFolder(folder / "kept")
    with kept.held():
        kept.write_state(DeploymentState("one", "one.yaml", "program", history=[(1.0, "up")]))
        kept.write_request("one", Request())
        kept.write_problems({"one.yaml": "name: is missing"})
    held = HoldOut(("BTCUSDT-PERP.SIM",), 1_704_240_000_000_000_000)
    other = Store(folder / "results")
    record_holdout(other, held)
    [held_out] = (other.root / "holdouts").iterdir()
    entry = next((ended.results / "ledger").iterdir())
    search = {"method": "random", "points": 2}
    inputs = SearchInputs.of(
        experiment_of(ended.content | {"search": search}, ended.folder).experiment
    )
    keep_generation(other, "x", 0, inputs, [Asked((1,), (0.5,))])
    account = AccountState(
        session="s-1",
        terms="ab" * 32,
        at=1,
        is_complete=False,
        balances=["1 USDT"],
        positions=[HeldPosition("X.SIM", "1", "2.5")],
        orders=[],
        strategy={"a": "AA=="},
        lines=3,
        sessions=[],
    )
    preparation = parted(folder)
    preparation.plan()
    preparation.make(0)
    return {
        "parts": (folder / "made" / "parts" / "plan.json").read_bytes(),
        "part": (folder / "made" / "parts" / "0.json").read_bytes(),
        "missing parts": b'{"series": [0]}',
        "state": (kept.states / "one.json").read_bytes(),
        "request": (kept.requests / "one.json").read_bytes(),
        "problems": (kept.folder / "problems.json").read_bytes(),
        "hold-out": held_out.read_bytes(),
        "ledger": entry.read_bytes(),
        "generation": (other.root / name_of("x", 0)).read_bytes(),
        "account": account.to_json(),
        "lease": LeaseRecord(token=1, holder="a", session="s-1", until=1.0).to_json(),
        "result": ended.run_file("whole", "result.json").read_bytes(),
        "metadata": ended.run_file("whole", "metadata.json").read_bytes(),
        "trials": ended.run_file("whole", "trials.json").read_bytes(),
        "experiment": ended.path.read_bytes(),
        "yaml": b"name: x\nseed: 1\ndataset: {path: data}\nparameters:\n  fast: [1, 2]\n",
        "deployment": (ROOT / "trading_runtime" / "local" / "paper.yaml").read_bytes(),
        "data file": (ROOT / "tests" / "data" / "parts" / "bars.data.json").read_bytes(),
        "manifest": (small_dataset / "manifest.json").read_bytes(),
        "plan": ended.run_file("whole", "plan.json").read_bytes(),
        "journal": journal,
        "bundle": bundle.read_bytes(),
        "code": pack_code(code, ended.folder),
        "snapshot": json.dumps(snapshot).encode(),
        "table": b"order_id,quantity,status\nO-1,1,FILLED\n",
        "answer": b'{"event": "task_ended", "task": 1, "status": "ok", "seconds": 1, "rows": 5, '
        b'"memory_bytes": 5}',
    }


def _archive(path: Path) -> None:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    folder = LocalFolder(path.parent)
    folder.write(archive_name(sha256), content)
    with unpacked_code(folder, sha256):
        pass


def _supervised(path: Path) -> SupervisorFolder:
    return SupervisorFolder(path.parent.parent)


def _finish(path: Path) -> None:
    preparation = parted(path.parents[2])
    preparation.store.write("parts/plan.json", b'{"series": [["x.csv"]]}')
    preparation.finish(write_instruments)


def _store(path: Path) -> Store:
    return Store(path.parent.parent)


def _told(parse: Callable[[bytes], object]) -> Callable[[Path], object]:
    """Return a parser of bytes, whose callers tell a ``ValueError`` with the place."""

    def of_file(path: Path) -> None:
        with suppress(ValueError):
            parse(path.read_bytes())

    return of_file


PARSERS: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "experiment": ("x.json", load_experiment),
    "yaml": ("x.yaml", load_experiment),
    "deployment": ("x.yaml", load_deployment),
    "data file": ("x.data.json", load_preparation),
    "manifest": ("x.json", lambda path: read_manifest(_text(path), "manifest.json", _no_table)),
    "plan": ("plan.json", read_plan),
    "journal": ("journal.jsonl", lambda path: whole_lines(path.read_bytes())),
    "bundle": ("x.zip", lambda path: unpack(path, path.parent / "unpacked")),
    "code": ("x.tar", _archive),
    "snapshot": ("x.json", read_snapshot),
    "table": ("orders.csv", read_snapshot),
    "state": ("state/one.json", lambda path: _supervised(path).read_states()),
    "request": ("requests/one.json", lambda path: _supervised(path).request("one")),
    "problems": ("problems.json", lambda path: SupervisorFolder(path.parent).read_problems()),
    "hold-out": ("holdouts/a.json", lambda path: recorded_holdouts(_store(path))),
    "ledger": ("ledger/a.json", lambda path: list(entries(_store(path)))),
    "generation": (
        "runs/x/search/000.json",
        lambda path: read_generation(Store(path.parents[3]), "x", 0),
    ),
    "parts": ("made/parts/plan.json", lambda path: parted(path.parents[2]).check()),
    "part": ("made/parts/0.json", _finish),
    "missing parts": (
        "made/parts/missing.json",
        lambda path: parted(path.parents[2]).found_missing(0),
    ),
    "account": ("state.json", _told(parse_account)),
    "lease": ("lease.json", _told(parse_lease)),
    "result": ("result.json", lambda path: read_result(RunFiles(path.parent))),
    "metadata": ("metadata.json", lambda path: read_metadata(RunFiles(path.parent))),
    "trials": ("trials.json", lambda path: read_trials(RunFiles(path.parent))),
}


def _no_table(name: str) -> bytes:
    raise DataError(f"{name}: there is none")


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


@pytest.mark.parametrize("kind", PARSERS)
def test_any_bytes_are_read_or_refused(
    kind: str, sound: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    name, parse = PARSERS[kind]

    @bounded
    @given(damaged(sound[kind]))
    def try_it(content: bytes) -> None:
        path = tmp_path_factory.mktemp("fuzz") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with suppress(TradingRuntimeError):
            parse(path)

    try_it()


def test_any_bytes_of_a_worker_are_an_answer_or_refused(sound: Mapping[str, bytes]) -> None:
    @bounded
    @given(damaged(sound["answer"]))
    def try_it(content: bytes) -> None:
        with suppress(GarbledError):
            read_answer(content)
        parse_line(content)

    try_it()


def test_what_is_sound_is_read(sound: Mapping[str, bytes], tmp_path: Path) -> None:
    for kind in ("plan", "manifest", "bundle", "code", "table", "journal", "part", "parts"):
        name, parse = PARSERS[kind]
        path = tmp_path / kind / name
        path.parent.mkdir(parents=True)
        path.write_bytes(sound[kind])
        parse(path)
