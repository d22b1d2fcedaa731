"""Write deploy/monitoring/dashboards/ from the definitions below, with Grafana's own library.

python scripts/make_dashboards.py           writes the files
python scripts/make_dashboards.py --check   lists files that are not current; exits with 1 if any
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Lines
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    SpecialValueMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "monitoring" / "dashboards"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_RED, _GREEN, _BLUE = "red", "green", "blue"
_STAT_WIDTH, _STAT_HEIGHT = 4, 4
_LINES_WIDTH, _LINES_HEIGHT = 12, 8
_FULL_WIDTH = 24


def dashboards() -> dict[str, str]:
    """Return the text of every dashboard by its file name."""
    made = {"runs.json": _runs(), "run.json": _run()}
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {name: encoder.encode(dashboard.build()) + "\n" for name, dashboard in made.items()}


def _runs() -> Dashboard:
    """All runs of a folder: which have problems, and whether trading is allowed."""
    not_well = 'sum(trading_runtime_runs{status=~"failed|incomplete|killed|died"})'
    differing = 'sum(trading_runtime_run_reconciliation_rows{outcome!="matched"})'
    return (
        _dashboard("Trading Runtime: runs", "trading-runtime-runs")
        .with_panel(_stat("Running", 'sum(trading_runtime_runs{status="running"})'))
        .with_panel(_stat("Not well", not_well, red_from=1))
        .with_panel(
            _stat("Kill switch", "max(trading_runtime_kill_switch_active)", red_from=1).mappings(
                [_named({"0": "off", "1": "ON"})]
            )
        )
        .with_panel(
            _stat("Ready", "min(trading_runtime_ready)", green_from=1).mappings(
                [_named({"0": "no", "1": "yes"}), _nothing("not checked")]
            )
        )
        .with_panel(
            _stat("Probe", "min(trading_runtime_probe_up)", green_from=1).mappings(
                [_named({"0": "down", "1": "up"}), _nothing("not probed")]
            )
        )
        .with_panel(
            _stat("Differences to the venue", differing, red_from=1).mappings(
                [_nothing("not reconciled")]
            )
        )
        .with_panel(
            _table("Alerts that fire")
            .with_target(_now('ALERTS{alertname=~"TradingRuntime.*", alertstate="firing"}'))
            .with_transformation(
                _without("Time", "Value", "__name__", "alertstate", "instance", "job")
            )
        )
        .with_panel(_table_of_runs())
        .with_panel(
            _lines("Runs by status").with_target(
                _over_time("sum by (status) (trading_runtime_runs)", "{{status}}")
            )
        )
        .with_panel(
            _lines("Tasks by what became of them").with_target(
                _over_time("sum by (result) (trading_runtime_tasks) > 0", "{{result}}")
            )
        )
        .with_panel(
            _lines("Tasks ended a second, of runs that are running", unit="ops").with_target(
                _over_time(
                    "trading_runtime_run_tasks_per_second"
                    " and trading_runtime_run_last_event_age_seconds",
                    "{{run_id}}",
                )
            )
        )
        .with_panel(
            _lines("Age of the numbers, and time to collect them", unit="s")
            .with_target(_over_time("time() - trading_runtime_collected_timestamp_seconds", "age"))
            .with_target(
                _over_time("trading_runtime_collection_duration_seconds", "collecting", "B")
            )
        )
    )


def _table_of_runs() -> Table:
    """One row per run: status, start, tasks."""
    columns = {
        "status": "max by (run_id, status) (trading_runtime_run_status == 1)",
        "started": "max by (run_id) (trading_runtime_run_started_timestamp_seconds) * 1000",
        "planned": "max by (run_id) (trading_runtime_run_tasks_planned)",
        "waiting": "max by (run_id) (trading_runtime_run_tasks_waiting)",
        "completed": "max by (run_id) (trading_runtime_run_tasks_completed_total)",
        "failed": "sum by (run_id) (trading_runtime_run_tasks_failed_total)",
        "time left": "max by (run_id) (trading_runtime_run_time_left_seconds)",
    }
    table = _table("Runs")
    names = {}
    for letter, (name, expression) in zip("ABCDEFG", columns.items(), strict=True):
        table.with_target(_now(expression, letter))
        names[f"Value #{letter}"] = name
    del names["Value #A"]
    order = ["run_id", "status", *list(columns)[1:]]
    return (
        table.with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True, "Value #A": True},
                    "renameByName": names,
                    "indexByName": {name: index for index, name in enumerate(order)},
                },
            )
        )
        .override_by_name("started", [{"id": "unit", "value": "dateTimeAsIso"}])  # type: ignore[list-item] # converted to JSON unchanged
        .override_by_name("time left", [{"id": "unit", "value": "s"}])  # type: ignore[list-item] # the same
    )


def _run() -> Dashboard:
    """One run, or several: progress, speed, cost."""
    run = 'run_id=~"$run"'
    left = (
        f"trading_runtime_run_tasks_waiting{{{run}}} + trading_runtime_run_tasks_running{{{run}}}"
    )
    return (
        _dashboard("Trading Runtime: one run", "trading-runtime-run")
        .with_variable(
            QueryVariable("run")
            .label("run")
            .datasource(_SOURCE)
            .query("label_values(trading_runtime_run_info, run_id)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".+")
        )
        .with_panel(
            _stat("Status", f"trading_runtime_run_status{{{run}}} == 1", "{{status}}").text_mode(
                "name"  # type: ignore[arg-type] # the enum is not exported
            )
        )
        .with_panel(
            _stat("Done", f"1 - ({left}) / trading_runtime_run_tasks_planned{{{run}}}").unit(
                "percentunit"
            )
        )
        .with_panel(_stat("Time left", f"trading_runtime_run_time_left_seconds{{{run}}}").unit("s"))
        .with_panel(
            _stat("Since the last event", f"trading_runtime_run_last_event_age_seconds{{{run}}}")
            .unit("s")
            .mappings([_nothing("ended")])
        )
        .with_panel(
            _stat(
                "Journal", f"min(trading_runtime_run_journal_intact{{{run}}})", green_from=1
            ).mappings([_named({"0": "BROKEN", "1": "intact"})])
        )
        .with_panel(
            _stat(
                "Kill switch", f"max(trading_runtime_run_kill_switch_active{{{run}}})", red_from=1
            ).mappings([_named({"0": "off", "1": "ON"})])
        )
        .with_row(Row("Tasks"))
        .with_panel(
            _lines("Queue")
            .with_target(_of("trading_runtime_run_tasks_waiting", run, "waiting"))
            .with_target(_of("trading_runtime_run_tasks_running", run, "running", "B"))
            .with_target(_of("trading_runtime_run_tasks_cached", run, "stored before", "C"))
        )
        .with_panel(
            _lines("Ended")
            .with_target(_of("trading_runtime_run_tasks_completed_total", run, "completed"))
            .with_target(
                _over_time(
                    f"trading_runtime_run_tasks_failed_total{{{run}}} > 0",
                    "{{kind}} {{run_id}}",
                    "B",
                )
            )
        )
        .with_panel(
            _lines("Tasks a second", unit="ops").with_target(
                _of("trading_runtime_run_tasks_per_second", run, "")
            )
        )
        .with_panel(
            _lines("Rows a second", unit="ops").with_target(
                _of("trading_runtime_run_rows_per_second", run, "")
            )
        )
        .with_panel(
            _lines("Given out again").with_target(
                _over_time(f"trading_runtime_run_retries_total{{{run}}}", "{{what}} {{run_id}}")
            )
        )
        .with_row(Row("Resources"))
        .with_panel(
            _lines("Memory", unit="bytes")
            .with_target(_of("trading_runtime_run_memory_bytes", run, "used"))
            .with_target(_of("trading_runtime_run_memory_limit_bytes", run, "limit", "B"))
        )
        .with_panel(
            _lines("Brought from storage", unit="Bps").with_target(
                _over_time(
                    f"rate(trading_runtime_run_fetched_bytes_total{{{run}}}[$__rate_interval])",
                    "{{run_id}}",
                )
            )
        )
        .with_row(Row("Session"))
        .with_panel(
            _stat(
                "Since the heartbeat",
                f"time() - trading_runtime_session_heartbeat_timestamp_seconds{{{run}}}",
                red_from=60,
            )
            .unit("s")
            .mappings([_nothing("no session")])
        )
        .with_panel(
            _stat(
                "Instruments without data",
                f"trading_runtime_session_stale_instruments{{{run}}}",
                red_from=1,
            ).mappings([_nothing("no session")])
        )
        .with_panel(
            _stat(
                "Only reducing", f"trading_runtime_session_reducing{{{run}}}", red_from=1
            ).mappings([_named({"0": "no", "1": "YES"}), _nothing("no session")])
        )
        .with_panel(_lines("Equity").with_target(_of("trading_runtime_session_equity", run, "")))
        .with_panel(
            _lines("Orders and fills")
            .with_target(_of("trading_runtime_session_orders_total", run, "sent"))
            .with_target(_of("trading_runtime_session_fills_total", run, "filled", "B"))
            .with_target(_of("trading_runtime_session_orders_denied_total", run, "denied", "C"))
            .with_target(_of("trading_runtime_session_requests_queued_total", run, "waited", "D"))
        )
        .with_panel(
            _lines("Open")
            .with_target(_of("trading_runtime_session_positions", run, "positions"))
            .with_target(_of("trading_runtime_session_resting_orders", run, "orders", "B"))
        )
        .with_row(Row("Safety"))
        .with_panel(
            _lines("Orders refused").with_target(
                _over_time(
                    f"trading_runtime_run_orders_refused_total{{{run}}} > 0", "{{rule}} {{run_id}}"
                )
            )
        )
        .with_panel(
            _lines("Reconciliation").with_target(
                _over_time(
                    f"trading_runtime_run_reconciliation_rows{{{run}}}", "{{outcome}} {{run_id}}"
                )
            )
        )
    )


def _dashboard(title: str, uid: str) -> Dashboard:
    return (
        Dashboard(title)
        .uid(uid)
        .tags(["trading-runtime"])
        .readonly()
        .timezone("utc")
        .time("now-1h", "now")
        .refresh("10s")
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def _stat(
    title: str,
    expression: str,
    legend: str = "{{run_id}}",
    *,
    red_from: float | None = None,
    green_from: float | None = None,
) -> Stat:
    steps = [Threshold(value=None, color=_BLUE)]
    if red_from is not None:
        steps = [Threshold(value=None, color=_GREEN), Threshold(value=red_from, color=_RED)]
    if green_from is not None:
        steps = [Threshold(value=None, color=_RED), Threshold(value=green_from, color=_GREEN)]
    query = Dataquery().expr(expression).instant().legend_format(legend).ref_id("A")
    return (
        Stat()
        .title(title)
        .datasource(_SOURCE)
        .span(_STAT_WIDTH)
        .height(_STAT_HEIGHT)
        .color_mode(BigValueColorMode.BACKGROUND)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(query)
    )


def _lines(title: str, unit: str = "short") -> Lines:
    return (
        Lines()
        .title(title)
        .datasource(_SOURCE)
        .span(_LINES_WIDTH)
        .height(_LINES_HEIGHT)
        .unit(unit)
        .min(0)
        .stacking(StackingConfig().mode(StackingMode.NONE))
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    )


def _table(title: str) -> Table:
    return Table().title(title).datasource(_SOURCE).span(_FULL_WIDTH).height(_LINES_HEIGHT)


def _of(metric: str, labels: str, name: str, letter: str = "A") -> Dataquery:
    return _over_time(f"{metric}{{{labels}}}", f"{name} {{{{run_id}}}}".strip(), letter)


def _over_time(expression: str, legend: str, letter: str = "A") -> Dataquery:
    return Dataquery().expr(expression).range().legend_format(legend).ref_id(letter)


def _now(expression: str, letter: str = "A") -> Dataquery:
    return Dataquery().expr(expression).instant().format(PromQueryFormat.TABLE).ref_id(letter)


def _without(*columns: str) -> DataTransformerConfig:
    return DataTransformerConfig(
        id_val="organize", options={"excludeByName": dict.fromkeys(columns, True)}
    )


def _named(texts: Mapping[str, str]) -> ValueMap:
    return ValueMap(options={value: ValueMappingResult(text=text) for value, text in texts.items()})


def _nothing(text: str) -> Any:
    from grafana_foundation_sdk.models.dashboard import (
        DashboardSpecialValueMapOptions,
        SpecialValueMatch,
    )

    return SpecialValueMap(
        options=DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL_AND_NAN, result=ValueMappingResult(text=text)
        )
    )


def main() -> int:
    """Write the files, or with ``--check`` compare them."""
    stale = []
    for name, text in dashboards().items():
        path = FOLDER / name
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"not current: {', '.join(stale)}; run `make reference`", file=sys.stderr)  # noqa: T201
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
