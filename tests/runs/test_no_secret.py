"""No secret is stored or shown: a canary in every variable and address is looked for everywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import BAR_TYPE, ROOT
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

CANARY = "canary-5f3a9c71"
DOCUMENTED = re.findall(r"^([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
SECRETS = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "BROKER_API_KEY",
    "BROKER_PASSWORD",
    "GHCR_TOKEN",
]
ADDRESSES = ["HTTP_PROXY", "HTTPS_PROXY", "DATABASE_URL", "AWS_ENDPOINT_URL"]
STRATEGY = '''"""Says all that it finds in its surroundings, and fails."""

import os
from dataclasses import dataclass

from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy, StrategyConfig


@dataclass
class LeakingConfig(StrategyConfig):
    bar_type: BarType
    way: str = "raise"


class Leaking(Strategy):
    def __init__(self, config: LeakingConfig) -> None:
        super().__init__(config)
        self.settings = config

    def on_start(self) -> None:
        names = os.environ["LEAKED"].split(",")
        found = {name: os.environ.get(name) for name in names}
        print("found", found, flush=True)
        if self.settings.way == "die":
            os._exit(3)
        if self.settings.way == "raise":
            raise RuntimeError(f"no access with {found} at {found['HTTPS_PROXY']}")
'''


@pytest.fixture
def surroundings() -> dict[str, str]:
    """A canary in every variable that is documented, and in what may hold secrets besides."""
    values = dict.fromkeys(DOCUMENTED, f"{CANARY}-value")
    values |= {name: f"{CANARY}-{name.lower()}" for name in SECRETS}
    values |= {
        name: f"http://{CANARY}-user:{CANARY}-{name.lower()}@127.0.0.1:9/?token={CANARY}-query"
        for name in ADDRESSES
    }
    # These say where to write to, which is no secret.
    for name in ("TRADING_RUNTIME_RESULTS", "TRADING_RUNTIME_OUTPUTS", "ARGO_PROGRESS_FILE"):
        values.pop(name)
    values.pop("TRADING_RUNTIME_TERMINATION_LOG")
    # A strategy sees no variable unless it is passed: these are, so that hiding them is tested.
    leaked = ",".join([*SECRETS, *ADDRESSES])
    return values | {"LEAKED": leaked, "TRADING_RUNTIME_PASS": f"LEAKED,{leaked}"}


def holding(folder: Path) -> list[str]:
    """Return the files that hold the canary, by name or in their content."""
    return [
        str(path)
        for path in folder.rglob("*")
        if CANARY in path.name or (path.is_file() and CANARY.encode() in path.read_bytes())
    ]


def test_a_canary_in_every_variable_and_address_is_stored_and_shown_nowhere(
    small: SmallExperiment, surroundings: dict[str, str]
) -> None:
    (small.folder / "leaking.py").write_text(STRATEGY)
    small.write(
        strategy={"path": "leaking.py:Leaking", "config": {"bar_type": BAR_TYPE}},
        partitions={"by": "day", "end": "2024-01-02"},
        parameters={"way": ["none", "raise", "die"]},
        labels={"source": f"https://{CANARY}:{CANARY}@host/?t={CANARY}"},
    )
    experiment = small.path.read_text()
    ended = small.run("--run-id", "run", "--workers", "1", environment=surroundings)
    assert ended.returncode == 5, ended.stderr
    shown = [ended.stdout, ended.stderr]
    for words in (
        ["runs", "list"],
        ["runs", "show", "run"],
        ["runs", "show", "run", "--json"],
        ["runs", "watch", "run"],
        ["runs", "check", "run"],
        ["results", "show", "run"],
        ["metrics", "export", "run"],
        ["evidence", "bundle", "run"],
        ["evidence", "check", "run.evidence.zip"],
        ["replay", "run", "--point", "1", "--partition", "0"],
    ):
        command = subprocess.run(
            [sys.executable, "-m", "trading_runtime.cli.main", *words],
            cwd=small.folder,
            env=os.environ | surroundings | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert "internal error" not in command.stderr
        if words[0] != "replay":
            # Replay shows what the strategy prints, to whom has the secrets anyway.
            shown += [command.stdout, command.stderr]
    small.path.write_text("{}")
    failures = [
        json.loads(path.read_bytes()) for path in small.run_file("run", "failures").glob("*.json")
    ]

    assert CANARY in experiment
    assert sorted(failure["kind"] for failure in failures) == ["crash", "strategy"]
    assert all("[hidden]" in failure["message"] for failure in failures)
    assert [text for text in shown if CANARY in text] == []
    assert holding(small.results) == []
    assert (small.folder / "run.evidence.zip").stat().st_size > 10_000
    assert holding(small.folder) == []


@pytest.mark.parametrize("key", ["dataset", "results"])
def test_an_address_with_a_password_is_refused_without_showing_it(
    small: SmallExperiment, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"s3://user:{CANARY}@bucket/x"
    small.write(**{key: {"path": address} if key == "dataset" else address})

    assert invoke(root, ["run", str(small.path)]) == 2
    error = capsys.readouterr().err
    assert "s3://[hidden]@bucket/x" in error
    assert CANARY not in error
