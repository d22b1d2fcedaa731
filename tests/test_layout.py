"""The shape of the code: which room may import which, and what every module keeps to."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parent.parent / "trading_runtime"

# From the lowest to the highest: a room imports its own level and those below, never one above.
LEVELS = (
    {"canonical", "collector", "currency_codes", "errors", "message_kinds", "redaction"}
    | {"sequences", "text", "units"}
    | {"storage"},
    {"config", "datasets", "records"},
    {"planning", "engine"},
    {"results", "runs", "control", "report", "charts", "metrics"}
    | {"execution", "verification", "evidence", "sessions"},
    {"operations", "project", "search", "deployments"},
    {"cli", "local", "argo", "api"},
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
ENGINE_ROOMS = {"engine", "strategies"}
MOST_LINES = 600
SHARED_NAMES = {
    "drill": "each drill is a module whose function has this name",
    "main": "each program has an entry point",
}
"""Public names that more than one module defines, and why."""
NAMES_OF_COMMANDS = {"cli", "api"}
"""A command, and a function for notebooks, bears the name of what it does."""

SHORT_LINES = 100
IMPORTED_ONCE = {
    "datasets/daily_closes.py": "prices for a benchmark, apart from what the engine is fed",
    "datasets/idle_bars.py": "counts rows that move no market, apart from how they are cut",
    "datasets/nautilus_one.py": "the numbers of another version's files",
    "datasets/symbols.py": "a doubt over all rows of a series, as those about times are",
    "datasets/repeated_rows.py": "compares files, apart from the rules of single rows",
    "datasets/row_order.py": "an algorithm: rows in order within bounded memory",
    "deployments/recurring.py": "research at times, beside what is kept up",
    "engine/accounting/drawn_ids.py": "replaces ids that the engine draws, by a rule of its own",
    "engine/strategy/file_reads.py": "notes what a process opens, apart from what it imports",
    "engine/live/data_times.py": "restates instants, apart from the node that they come from",
    "engine/live/data_node.py": "a node of another kind, which trades nothing",
    "engine/live/reporting.py": "a subclass of the strategy, as the guard is",
    "engine/live/simulated.py": "what paper and live differ in",
    "engine/live/venue_node.py": "what paper and live differ in",
    "execution/executors/pods.py": "an executor",
    "execution/workers/fence.py": "calls of the kernel, apart from what a worker does",
    "operations/drills/cutting_proxy.py": "a network that fails, beside the drill that uses it",
    "planning/days.py": "counts days, which a plan only shows",
    "records/metadata.py": "the form of a stored document",
    "storage/s3_clock.py": "imports what only the age of an object needs, in seldom cases",
    "report/periods.py": "tables of one kind, beside content.py, which is at its limit",
    "sessions/storing.py": "threads that ask a storage, apart from the loop that trades",
    "sessions/starting.py": "checks before anything is started",
    "sessions/event_loop.py": "how asyncio runs callbacks, apart from what a session calls",
    "sessions/health.py": "a server, apart from the trading that it reports on",
}
"""Short modules that a single place imports, and why they are no part of it."""

UNTYPED = {
    "JSON that is read, stored, sent or printed": """
    api.py argo/argo_command.py argo/cluster_objects.py argo/kept_on_cluster.py
    argo/kubectl_command.py argo/plan_step.py argo/scheduled_research.py argo/submitting.py
    argo/summary_step.py argo/workflow_state.py cli/config.py cli/data_checks.py
    cli/deployments.py cli/results.py cli/run.py cli/trade.py cli/validation.py
    config/code_archive.py config/deployment.py config/document.py config/fields.py
    config/project_file.py config/schema.py control/kill_switch.py datasets/formats.py
    datasets/guessing.py datasets/importing.py datasets/inspection.py datasets/manifest.py
    datasets/manifest_entries.py datasets/parts.py datasets/prepare.py
    datasets/series_settings.py deployments/desired.py engine/instruments/definitions.py
    evidence/bundle.py evidence/comparison.py execution/task.py execution/workers/answers.py
    metrics/collector.py metrics/run_reader.py operations/drills/reconciliation_mismatch.py
    operations/drills/running.py operations/probe.py operations/readiness.py
    operations/records.py operations/stand_in/binance.py
    operations/stand_in/bybit_documents.py operations/stand_in/exchange.py
    planning/environment.py planning/identity.py project/example_data.py project/scaffold.py
    records/failures.py records/forms.py records/instruments.py records/journal.py
    records/metadata.py records/planned_data.py records/run_warnings.py records/schema.py
    records/seal.py records/task_manifest.py results/artifacts.py results/calendar.py
    results/holdout.py runs/overview.py runs/progress.py runs/rates.py
    runs/run_check.py sessions/health.py sessions/origin.py sessions/promotion.py
    sessions/session.py verification/verify.py verification/why.py
    """,
    "values under names that a user chose: parameters, the config of a strategy or adapter": """
    config/adapters.py config/experiment.py config/program.py
    engine/simulation/feeding_order.py engine/strategy/config.py engine/strategy/hosting.py
    engine/strategy/loading.py execution/lifecycle.py execution/preparation.py
    execution/workers/processes.py execution/workers/requests.py operations/drills/scratch.py
    operations/drills/storage_outage.py planning/plan.py planning/points.py records/inputs.py
    records/plan.py records/result.py results/judgement.py results/ledger.py results/nested.py
    search/asking.py search/nested.py sessions/preparation.py
    """,
    "rows of a table, by column": """
    charts/pages.py datasets/catalog_files.py datasets/custom_rows.py
    datasets/manifest_index.py engine/accounting/tables.py
    operations/drills/stale_market_data.py operations/reconciliation.py report/content.py
    report/periods.py report/pictures/parameters.py results/frames.py results/points.py
    results/task_reader.py results/task_table.py results/tracking.py results/validation.py
    search/continuous.py search/data_checks.py search/robustness.py sessions/parity.py
    """,
    "keyword arguments, members of a class, and objects of the engine by id": """
    charts/trades.py cli/data_import.py config/loading.py config/messages.py
    deployments/state.py engine/accounting/ledger.py engine/accounting/valuation.py
    engine/instruments/files.py engine/live/reporting.py engine/simulation/feed.py
    engine/simulation/venue.py engine/strategy/guard.py engine/strategy/subscriptions.py
    records/events.py
    """,
}
"""Modules that annotate a mapping of anything, ``[str, Any]``, by reason; others use records."""


def test_every_room_has_its_level() -> None:
    rooms = {room_of(path) for path in modules() if path.name != "__init__.py"}

    assert rooms - LEVEL_OF.keys() == {"strategies"}


def test_a_room_imports_its_own_level_and_those_below_it() -> None:
    upward = [
        f"{name(path)} imports {imported}"
        for path, room, imported, target in imports_between_rooms()
        if room != "strategies"
        and target != "strategies"
        and LEVEL_OF.get(target, 0) > LEVEL_OF[room]
    ]

    assert upward == []


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    needs: dict[str, set[str]] = {}
    for _, room, _, target in imports_between_rooms():
        needs.setdefault(room, set()).add(target)

    while free := [room for room in needs if not needs[room] & needs.keys()]:
        for room in free:
            del needs[room]

    assert needs == {}, "these rooms need one another"


def test_the_modules_of_the_experiment_file_do_not_import_each_other_in_a_circle() -> None:
    needs = {
        name(path): {
            module
            for imported in imports_of(path)
            for module in map(name, modules())
            if room_of(PACKAGE.parent / module) == "config"
            and imported.startswith(f"{module.removesuffix('.py').replace('/', '.')}.")
        }
        for path in modules()
        if room_of(path) == "config"
    }

    while free := [module for module in needs if not needs[module] & needs.keys()]:
        for module in free:
            del needs[module]

    assert needs == {}, "these modules need one another"


def test_the_experiment_file_knows_of_no_other_room() -> None:
    assert rooms_that("config", LEVELS[1:]) == []


def test_planning_starts_no_work() -> None:
    assert rooms_that("planning", ({"engine", "execution"},)) == []


def test_an_example_strategy_stands_alone_as_a_user_would_write_it() -> None:
    assert rooms_that("strategies", LEVELS) == []


def test_example_strategies_are_loaded_by_path_and_imported_by_no_room() -> None:
    importers = [
        name(path) for path, _, _, target in imports_between_rooms() if target == "strategies"
    ]

    assert importers == []


def test_only_the_engine_room_and_strategies_import_the_engine() -> None:
    others = [
        name(path)
        for path in modules()
        if room_of(path) not in ENGINE_ROOMS
        and any(imported.split(".")[0] == "nautilus_trader" for imported in imports_of(path))
    ]

    assert others == []


def test_what_a_supervisor_imports_leads_to_no_engine_even_where_it_is_imported_late() -> None:
    by_dotted = {
        name(path).removesuffix("/__init__.py").removesuffix(".py").replace("/", "."): path
        for path in modules()
    }
    waiting = [path for path in modules() if room_of(path) == "deployments"]
    reached = set(waiting)
    while waiting:
        for imported in imports_of(waiting.pop()):
            for dotted in (imported, imported.rpartition(".")[0]):
                path = by_dotted.get(dotted)
                if path is not None and path not in reached:
                    reached.add(path)
                    waiting.append(path)

    assert PACKAGE / "config" / "deployment.py" in reached
    assert [name(path) for path in reached if room_of(path) in ENGINE_ROOMS] == []


@pytest.mark.parametrize(
    ("started", "heavy"),
    [
        (
            "cli.main",
            (
                "nautilus_trader polars pyarrow numpy pydantic jinja2 ruamel hera "
                "prometheus_client obstore botocore plotly rich pandas mlflow"
            ),
        ),
        ("execution.task", "polars pyarrow.compute jinja2 ruamel obstore rich"),
        ("sessions.session", "polars pyarrow numpy jinja2 ruamel obstore rich"),
    ],
    ids=["command line", "worker", "session"],
)
def test_a_process_starts_without_what_it_seldom_needs(started: str, heavy: str) -> None:
    code = (
        f"import sys, trading_runtime.{started}\n"
        f"print(*(name for name in {heavy.split()!r} if name in sys.modules))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    )

    assert loaded.stdout.split() == []


def test_every_module_says_in_a_docstring_what_it_is_for() -> None:
    silent = [name(path) for path in modules() if not ast.get_docstring(tree_of(path))]

    assert silent == []


def test_every_module_is_short() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in modules()}

    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert [name(path) for path in modules() if drawers & set(path.with_suffix("").parts)] == []


def test_no_public_name_is_defined_twice() -> None:
    where: dict[str, list[str]] = {}
    for path in modules():
        if room_of(path) in NAMES_OF_COMMANDS:
            continue
        for node in tree_of(path).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name[0] != "_":
                where.setdefault(node.name, []).append(name(path))
    twice = {item: paths for item, paths in where.items() if len(paths) > 1}

    assert {item: paths for item, paths in twice.items() if item not in SHARED_NAMES} == {}
    assert twice.keys() == SHARED_NAMES.keys(), "a reason is given for a name that needs none"


def test_a_short_module_that_a_single_place_imports_has_a_reason() -> None:
    importers: dict[str, set[str]] = {}
    by_dotted = {
        name(path).removesuffix("/__init__.py").removesuffix(".py").replace("/", "."): name(path)
        for path in modules()
    }
    for path in modules():
        for imported in imports_of(path):
            for dotted in (imported, imported.rpartition(".")[0]):
                if (target := by_dotted.get(dotted)) and target != name(path):
                    importers.setdefault(target.removeprefix("trading_runtime/"), set()).add(
                        name(path).removeprefix("trading_runtime/")
                    )
    # A command imports what it does when it is given: start-up is felt.
    single = {
        module
        for module, places in importers.items()
        if len(places) == 1
        and not module.endswith("__init__.py")
        and next(iter(places)).partition("/")[0] not in {"cli", "local"}
        and len((PACKAGE / module).read_text().splitlines()) <= SHORT_LINES
    }

    assert single - IMPORTED_ONCE.keys() == set(), "merge it, or give a reason"
    assert [module for module in IMPORTED_ONCE if not (PACKAGE / module).exists()] == []


def test_a_mapping_of_anything_is_annotated_only_where_a_record_cannot_be() -> None:
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if "[str, Any]" in path.read_text()
    ]
    listed = [module for names in UNTYPED.values() for module in names.split()]

    assert sorted(set(found) - set(listed)) == [], "use a record, or list it with a reason"
    assert sorted(set(listed) - set(found)) == [], "no longer needed"
    assert len(listed) == len(set(listed)), "listed twice"


@cache
def modules() -> tuple[Path, ...]:
    """Every module of the package, by path."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


def name(path: Path) -> str:
    """The path of a module as it is written in a message."""
    return path.relative_to(PACKAGE.parent).as_posix()


def room_of(path: Path) -> str:
    """The folder, or the single module, right below the package that holds this module."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text())


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full dotted name of everything imported, inside functions too.

    ``from a import b`` gives ``a.b``: whether ``b`` is a module makes no difference here.
    """
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*above, *filter(None, [node.module])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imports_between_rooms() -> Iterator[tuple[Path, str, str, str]]:
    """Yield (module, its room, what it imports, the room of that) for imports of another room."""
    for path in modules():
        room = room_of(path)
        for imported in imports_of(path):
            package, _, rest = imported.partition(".")
            target = rest.split(".")[0]
            if package == PACKAGE.name and target != room and is_room(target):
                yield path, room, imported, target


def is_room(target: str) -> bool:
    """Tell a room from a name that the package itself defines, such as its version."""
    return (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()


def rooms_that(importer: str, forbidden: tuple[set[str], ...]) -> list[str]:
    """The imports by which a room breaks a ban on some others, as messages."""
    banned = set[str]().union(*forbidden)
    return [
        f"{name(path)} imports {imported}"
        for path, room, imported, target in imports_between_rooms()
        if room == importer and target in banned
    ]
