"""Stored results that are damaged or gone: noticed, named, and left for whoever wants to look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pytest

from tests.bad_inputs.harness import assert_refused, contents
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.damages_journals
USAGE, DATA = 2, 3
RUN = "results/runs/one/"
TASK = "results/tasks/*/*/"
VERIFY = "verify one --all --workers 1"
DEEP = b"[" * 100_000


class Case(NamedTuple):
    """One file of a run or of a result, what becomes of it, and what a command then says."""

    file: str
    damage: bytes | str | Callable[[Any], Any] | None
    """Its new content; ``None``: removed; a word; or a function of the JSON it holds."""
    command: str
    exit_code: int
    words: list[str]


def edited(**changes: Any) -> Callable[[Any], Any]:
    """Replace top keys of a JSON file."""
    return lambda content: content | changes


def first_item(key: str, **changes: Any) -> Callable[[Any], Any]:
    """Replace keys of the first item of a list in a JSON file."""
    return lambda content: content | {key: [content[key][0] | changes, *content[key][1:]]}


PLAN = f"{RUN}plan.json"
RESULT = f"{RUN}result.json"
METADATA = f"{RUN}metadata.json"
POINTS = f"{RUN}points.parquet"
RESULTS = f"{RUN}results.parquet"
MANIFEST = f"{TASK}manifest.json"
CASES = {
    "plan-gone": Case(PLAN, None, VERIFY, USAGE, ["plan.json", "there is no plan"]),
    "plan-gone-gc": Case(PLAN, None, "gc", DATA, ["plan.json", "plan is gone"]),
    "plan-is-a-folder": Case(PLAN, "folder", VERIFY, DATA, ["plan.json", "Is a directory"]),
    "plan-half": Case(PLAN, "half", VERIFY, DATA, ["plan.json: cannot be read"]),
    "plan-half-gc": Case(PLAN, "half", "gc", DATA, ["plan.json", "nothing was removed"]),
    "plan-empty": Case(PLAN, b"", "why one two", DATA, ["plan.json: cannot be read"]),
    "plan-garbage": Case(PLAN, b"\xff\xfe\0x", "replay one 0000", DATA, ["plan.json: cannot"]),
    "plan-list": Case(PLAN, b"[]", VERIFY, DATA, ["plan.json: damaged", "no JSON object"]),
    "plan-deep": Case(PLAN, DEEP, "gc", DATA, ["plan.json: cannot be read"]),
    "plan-without-keys": Case(PLAN, b"{}", VERIFY, DATA, ["plan.json: damaged", "'common'"]),
    "plan-task-id-is-a-path": Case(
        PLAN, first_item("tasks", task_id="../../x"), VERIFY, DATA, ["tasks[0].task_id"]
    ),
    "plan-no-such-point": Case(
        PLAN, first_item("tasks", point=99), VERIFY, DATA, ["tasks[0].point"]
    ),
    "plan-no-such-partition": Case(
        PLAN, first_item("tasks", partition=-1), "gc", DATA, ["tasks[0].partition"]
    ),
    "plan-tasks-are-text": Case(PLAN, edited(tasks="x"), "gc", DATA, ["plan.json: damaged"]),
    "plan-common-empty": Case(PLAN, edited(common={}), VERIFY, DATA, ["common.engine is missing"]),
    "plan-strategy-empty": Case(PLAN, edited(strategy={}), VERIFY, DATA, ["strategy.path"]),
    "plan-points-are-numbers": Case(
        PLAN, edited(points=[3, 4]), "why one two", DATA, ["points[0] is no mapping"]
    ),
    "plan-partition-empty": Case(
        PLAN, edited(partitions=[{}]), VERIFY, DATA, ["partitions[0].start is missing"]
    ),
    "result-gone": Case(RESULT, None, "results show one", USAGE, ["has no result.json"]),
    "result-half": Case(RESULT, "half", "results show one", DATA, ["result.json: cannot be read"]),
    "result-list": Case(RESULT, b"[]", "results show one", DATA, ["result.json: damaged"]),
    "result-deep": Case(RESULT, DEEP, "results show one", DATA, ["result.json: cannot be read"]),
    "result-empty-object": Case(
        RESULT, b"{}", "results export one --to csv", DATA, ["run_digest is missing"]
    ),
    "result-counts": Case(
        RESULT, edited(counts=3), "results show one", DATA, ["counts is no mapping"]
    ),
    "result-best": Case(RESULT, edited(best={}), "results show one", DATA, ["best.point"]),
    "result-objective": Case(
        RESULT, edited(objective={}), "results show one", DATA, ["objective.metric is missing"]
    ),
    "metadata-half": Case(METADATA, "half", VERIFY, DATA, ["metadata.json: cannot be read"]),
    "metadata-list": Case(
        METADATA, b"[]", "run small.json --run-id one", DATA, ["metadata.json: damaged"]
    ),
    "metadata-is-a-folder": Case(
        METADATA, "folder", "run small.json --run-id one", DATA, ["metadata.json"]
    ),
    "metadata-history": Case(
        METADATA, edited(history=3), "run small.json --run-id one", DATA, ["history is no list"]
    ),
    "metadata-started": Case(
        METADATA,
        edited(started=3),
        "run small.json --run-id one",
        DATA,
        ["started is of the wrong type"],
    ),
    "metadata-says-nothing": Case(
        METADATA, edited(dataset=3), VERIFY, DATA, ["dataset is of the wrong type"]
    ),
    "metadata-leads-nowhere": Case(
        METADATA, edited(experiment_file="/gone/x.json"), VERIFY, USAGE, ["/gone", "--experiment"]
    ),
    "metadata-of-another-plan": Case(
        METADATA, edited(plan_digest="0"), "run small.json --run-id one", USAGE, ["another plan"]
    ),
    "points-gone": Case(POINTS, None, "results show one", USAGE, ["has no points.parquet"]),
    "points-half": Case(POINTS, "half", "results show one", DATA, ["points.parquet: damaged"]),
    "points-flipped": Case(
        POINTS, "flipped", "results export one --to csv", DATA, ["points.parquet", "sha256"]
    ),
    "points-is-a-folder": Case(
        POINTS, "folder", "results show one", DATA, ["points.parquet", "Is a directory"]
    ),
    "points-other-rows": Case(
        POINTS, "other table", "results show one", DATA, ["points.parquet", "sha256"]
    ),
    "results-gone": Case(
        RESULTS, None, "results show one --point 0", USAGE, ["has no results.parquet"]
    ),
    "results-empty": Case(
        RESULTS, b"", "results show one --point 0", DATA, ["results.parquet: damaged"]
    ),
    "results-other-rows": Case(
        RESULTS,
        "other table",
        "results export one --to csv --table results",
        DATA,
        ["results.parquet", "sha256"],
    ),
}


def damage(folder: Path, case: Case) -> None:
    path = min(folder.glob(case.file))
    if case.damage is None:
        path.unlink()
    elif isinstance(case.damage, bytes):
        path.write_bytes(case.damage)
    elif case.damage == "folder":
        path.unlink()
        path.mkdir()
    elif case.damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif case.damage == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif case.damage == "other table":
        pl.read_parquet(path).head(1).write_parquet(path)
    else:
        assert callable(case.damage)
        path.write_text(json.dumps(case.damage(json.loads(path.read_text()))))


@pytest.mark.parametrize("name", CASES)
def test_a_damaged_run_is_refused(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    damage(here, case)

    assert_refused(case.command.split(), case.exit_code, case.words, here, capsys)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"status": 3}', b'"x"', DEEP], ids=repr)
@pytest.mark.parametrize("command", ["results list --json", "runs list --json"])
def test_one_damaged_run_keeps_no_other_from_being_listed(
    content: bytes, command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("metadata.json", "result.json"):
        (here / RUN / name).write_bytes(content)

    assert invoke(root, command.split()) == 0

    found = {run["run_id"]: run["status"] for run in json.loads(capsys.readouterr().out)}
    assert found["two"] == "complete"
    assert found["one"] in {"unknown", "damaged"}


RESULT_DAMAGES = {
    "manifest-gone": (MANIFEST, None),
    "manifest-half": (MANIFEST, "half"),
    "manifest-flipped": (MANIFEST, "flipped"),
    "manifest-empty": (MANIFEST, b""),
    "manifest-list": (MANIFEST, b"[]"),
    "manifest-deep": (MANIFEST, DEEP),
    "manifest-names-odd-files": (MANIFEST, b'{"files":{"x":3}}'),
    "manifest-without-inputs": (MANIFEST, edited(inputs={})),
    "fills-gone": (f"{TASK}fills.parquet", None),
    "fills-half": (f"{TASK}fills.parquet", "half"),
    "fills-flipped": (f"{TASK}fills.parquet", "flipped"),
    "fills-is-a-folder": (f"{TASK}fills.parquet", "folder"),
    "summary-empty": (f"{TASK}summary.json", b""),
    "summary-flipped": (f"{TASK}summary.json", "flipped"),
    "equity-half": (f"{TASK}equity.parquet", "half"),
}


@pytest.mark.parametrize("name", RESULT_DAMAGES)
def test_a_damaged_result_is_found_by_verify_and_nothing_is_mended(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, how = RESULT_DAMAGES[name]
    damage(here, Case(file, how, "", 0, []))
    before = contents(here / "results" / "tasks")

    code = invoke(root, [*VERIFY.split(), "--json"])

    output, errors = capsys.readouterr()
    counts = json.loads(output)["counts"]
    assert (code, counts["same"]) == (DATA, 1)
    assert "Traceback" not in errors
    assert "internal" not in output
    assert contents(here / "results" / "tasks") == before


@pytest.mark.parametrize(
    "name",
    # The last one has the right size: only reading it for the tables finds it.
    ["manifest-deep", "fills-half", "summary-flipped"],
)
def test_a_damaged_result_is_computed_again_and_the_damaged_one_kept(
    name: str, whole: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, how = RESULT_DAMAGES[name]
    damage(here, Case(file, how, "", 0, []))

    command = ["run", "small.json", "--run-id", "three", "--json", "--workers", "1"]
    code = invoke(root, command)

    output, errors = capsys.readouterr()
    assert code == 0, errors
    digest = json.loads((whole / RESULT).read_text())["run_digest"]
    assert json.loads(output)["run_digest"] == digest
    after, sound = contents(here / "results" / "tasks"), contents(whole / "results" / "tasks")
    assert {path: after[path] for path in sound} == sound
    assert any(".damaged-" in path for path in after)
