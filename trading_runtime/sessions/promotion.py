"""From a point of a run to a deployment: with the point's parameters, through the run's gates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trading_runtime.config.deployment import Deployment
from trading_runtime.config.experiment import Experiment
from trading_runtime.config.loading import read_document
from trading_runtime.errors import DataError, UsageError
from trading_runtime.evidence.bundle import SUFFIX, bundle_run, refuse_running
from trading_runtime.planning.identity import decode_values
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.reasons import checked_reason
from trading_runtime.records.result import read_result
from trading_runtime.records.session_events import PointPromoted
from trading_runtime.results.judgement import deflated, drawn_points, judge
from trading_runtime.results.ledger import trials_with
from trading_runtime.results.nested import read_tested
from trading_runtime.results.reduction import read_points
from trading_runtime.results.run_records import read_table
from trading_runtime.results.task_reader import TaskReader
from trading_runtime.results.validation import SEEN_BY_THE_SEARCH, Windows, choices_over
from trading_runtime.runs.opening import append_events, is_running
from trading_runtime.sessions.origin import config_digest
from trading_runtime.storage.files import read_json, write_file
from trading_runtime.storage.s3 import is_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from trading_runtime.config.experiment import PromotionSettings
    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import RunResult
    from trading_runtime.records.run_files import RunFiles
    from trading_runtime.results.store import Store

_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class Promotion:
    """What was written for a point."""

    deployment: Path
    evidence: Path
    sha256: str
    """Of the evidence."""
    failed_gates: list[str]
    """What was overridden."""


def promote(  # noqa: PLR0913 - what a promotion is decided by
    store: Store,
    run_id: str,
    number: int,
    target: Path,
    override: str | None = None,
    *,
    fragile: Callable[[], Sequence[str]],
) -> Promotion:
    """Write a paper deployment of a point to ``target``, and the run's evidence beside it.

    ``fragile`` returns the checks of robustness that the point fails; it is called when a gate
    needs them, since that may run backtests.

    Raises ``UsageError`` when the run is not complete or has no such point, its gates refuse the
    point and are not overridden, ``override`` is empty, or ``target`` already exists; ``DataError``
    when its records are damaged.
    """
    if override is not None:
        override = checked_reason(override, "run's journal", "--override")
    files = store.run(run_id)
    refuse_running(run_id, running=is_running(store, run_id))
    result, metadata = read_result(files), read_metadata(files)
    if result is None or metadata is None or not result.complete:
        raise UsageError(f"run {run_id!r} is not complete; finish it before a point is promoted")
    if target.suffix not in _SUFFIXES or target.exists():
        what = "is there already" if target.exists() else "is no .yaml or .json file"
        raise UsageError(f"--to {target}: it {what}; name a new file")
    experiment = _stored_experiment(files.experiment)
    if experiment.venues:
        raise UsageError(f"run {run_id!r} trades at several venues; a deployment has one")
    plan = read_plan(files.plan)
    point = next((item for item in plan.points if item.index == number), None)
    if point is None:
        raise UsageError(f"--point {number}: the run's points are 0 to {len(plan.points) - 1}")
    table = read_table(files.points, result.tables)
    statistics = next(row for row in table.iter_rows(named=True) if row["point"] == number)
    refused = list(_refusals(experiment, statistics))
    if experiment.promotion is not None:
        judged = _Judged(store, files, plan, experiment, number)
        refused += judged.refusals(experiment.promotion, result, fragile)
    if refused and override is None:
        raise UsageError(
            f"run {run_id!r}, point {number}: " + "; ".join(refused) + "; --override REASON writes "
            "the deployment anyway, and notes the reason in the run's journal"
        )
    origin = {
        "run": run_id,
        "point": number,
        "run_digest": result.run_digest,
        "evidence": "0" * 64,  # until it is bundled
    }
    config = {**experiment.strategy.config, **decode_values(point.config)}
    content = _content(experiment, config, origin, _Places(metadata.experiment_file, target))
    _check(content)
    # Before the evidence is bundled, so that it includes the promotion.
    append_events(
        store,
        run_id,
        "promotion",
        PointPromoted(
            point=number,
            deployment=target.name,
            failed_gates=refused,
            override=override if refused else None,
        ),
    )
    store.fetch(f"runs/{run_id}/")
    evidence = bundle_run(store, store.run(run_id), target.with_name(f"{target.stem}{SUFFIX}"))
    origin["evidence"] = evidence.sha256
    origin["tasks"] = [task.task_id for task in plan.tasks if task.point == number]
    origin["tested"] = {
        "engine": plan.common.engine_version,
        "strategy": plan.common.strategy_code,
        # As it is read again, with the numbers as the file has them.
        "config": config_digest(read_document(_text(content, target), target.suffix).plain()),
    }
    write_file(target, _text(content, target))
    return Promotion(target, evidence.path, evidence.sha256, refused)


def _stored_experiment(path: Path) -> Experiment:
    content = read_json(path)
    if content is None:
        raise DataError(f"{path}: is missing; run the experiment again")
    try:
        return Experiment.model_validate(content, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path}: damaged: {place}: {first['msg']}; run the experiment again"
        ) from error


def _refusals(experiment: Experiment, statistics: Mapping[str, Any]) -> Iterator[str]:
    """Yield what keeps a point from being promoted."""
    gates: PromotionSettings | None = experiment.promotion
    if gates is None:
        yield "the experiment has no section 'promotion' with gates"
        return
    trades, days, fall = (statistics[key] for key in ("trades", "days", "max_drawdown"))
    if gates.min_trades is not None and (trades or 0) < gates.min_trades:
        yield f"{trades or 0} trades, promotion.min_trades is {gates.min_trades}"
    if gates.min_days is not None and (days or 0) < gates.min_days:
        yield f"{days or 0} days, promotion.min_days is {gates.min_days}"
    if gates.max_drawdown is not None and (fall is None or Decimal(str(fall)) > gates.max_drawdown):
        yield f"a drawdown of {_shown(fall)}, promotion.max_drawdown is {gates.max_drawdown}"
    if gates.objective is not None:
        metric = experiment.objective.metric
        value, sign = statistics[metric], 1 if experiment.objective.direction == "maximize" else -1
        if value is None or sign * (Decimal(str(value)) - gates.objective) < 0:
            yield f"{metric} is {_shown(value)}, promotion.objective is {gates.objective}"
    if statistics.get("ruined"):
        yield "the account was ruined"


@dataclass(frozen=True)
class _Judged:
    """The gates that ask how much of a point's result is luck."""

    store: Store
    files: RunFiles
    plan: Plan
    experiment: Experiment
    point: int

    def refusals(
        self, gates: PromotionSettings, result: RunResult, fragile: Callable[[], Sequence[str]]
    ) -> Iterator[str]:
        """Yield what keeps the point from being promoted."""
        if gates.min_deflated_sharpe is not None or gates.max_overfitting is not None:
            yield from self._luck(gates, result)
        least = gates.min_out_of_sample_return
        if least is not None:
            yield from self._out_of_sample(least)
        if gates.max_fragile is not None:
            failed = fragile()
            if len(failed) > gates.max_fragile:
                yield (
                    f"{len(failed)} checks of robustness do not hold ({', '.join(failed)}), "
                    f"promotion.max_fragile is {gates.max_fragile}"
                )

    def _luck(self, gates: PromotionSettings, result: RunResult) -> Iterator[str]:
        luck = result.luck
        if luck is None or luck.point != self.point:
            rows = read_points(self.plan, TaskReader(self.plan, self.store, self.files)).rows
            luck = judge(rows, self.point, drawn_points(read_json(self.files.experiment)))
        if luck is None:
            yield "too few daily returns to tell skill from luck (promotion)"
            return
        least, most = gates.min_deflated_sharpe, gates.max_overfitting
        if least is not None:
            trials = trials_with(self.store, self.plan)
            found = deflated(luck, trials).deflated_sharpe
            if found is None or Decimal(str(found)) < least:
                yield (
                    f"a deflated Sharpe ratio of {_shown(found)} with {trials:,} trials, "
                    f"promotion.min_deflated_sharpe is {least}"
                )
        if most is not None:
            found = None if luck.overfitting is None else luck.overfitting.probability
            if found is None or Decimal(str(found)) > most:
                yield (
                    f"a probability of overfitting of {_shown(found)}, "
                    f"promotion.max_overfitting is {most}"
                )

    def _out_of_sample(self, least: Decimal) -> Iterator[str]:
        """Judge what the tests of the experiment's walk-forward returned, one after the other."""
        asked, search = self.experiment.validation, self.experiment.search
        if asked is None:  # the experiment file is refused without one
            return
        settings = asked.model_dump()
        cannot = "promotion.min_out_of_sample_return cannot be judged"
        if asked.nested:
            try:
                tested = read_tested(self.store, self.files, self.plan, settings)
            except UsageError as error:
                yield f"{cannot}: {error}"
                return
            windows, choices = tested.windows, tested.choices
        elif search is not None and search.is_adaptive:
            yield f"{cannot}: {SEEN_BY_THE_SEARCH}"
            return
        else:
            windows = Windows.of_run(self.plan, self.store, self.files)
            choices = choices_over(windows, settings, self.plan.objective)
        found: float | None = windows.path(choices)["return"]
        if found is None or Decimal(str(found)) < least:
            yield (
                f"an out-of-sample return of {_shown(found)}, "
                f"promotion.min_out_of_sample_return is {least}"
            )


@dataclass(frozen=True)
class _Places:
    """Restates paths relative to the experiment file as relative to the deployment."""

    experiment_file: str
    target: Path

    def moved(self, text: str) -> str:
        if is_s3(text) or is_s3(self.experiment_file):
            return text
        path = Path(self.experiment_file).parent / Path(text).expanduser()
        return os.path.relpath(path, self.target.absolute().parent)

    def moved_class(self, text: str | None) -> str | None:
        if text is None or not text.partition(":")[0].endswith(".py"):
            return text
        file, _, name = text.partition(":")
        return f"{self.moved(file)}:{name}"


def _content(
    experiment: Experiment, config: dict[str, Any], origin: dict[str, Any], places: _Places
) -> dict[str, Any]:
    whole = experiment.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    dataset = whole["dataset"]
    strategy = {
        **whole["strategy"],
        "path": places.moved_class(experiment.strategy.path),
        "config": {key: _plain(value) for key, value in config.items()},
        "code": [places.moved(text) for text in experiment.strategy.code],
    }
    if experiment.strategy.config_path is not None:
        strategy["config_path"] = places.moved_class(experiment.strategy.config_path)
    content = {
        "name": experiment.name,
        "mode": "paper",
        "from": origin,
        "data": {
            "source": "replay",
            "dataset": places.moved(dataset["path"]),
            **{key: dataset[key] for key in ("instruments", "types") if key in dataset},
            "pace": "real",
        },
        "execution": {"venue": "simulated", **whole["venue"]},
        "strategy": {key: value for key, value in strategy.items() if value not in (None, [])},
        "seed": experiment.seed,
        "results": places.moved(experiment.results),
    }
    return content | {
        key: whole[key]
        for key in ("risk", "queue", "equity", "statistics", "labels")
        if key in whole
    }


def _shown(value: float | None) -> str:
    return "undefined" if value is None else str(value)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _check(content: dict[str, Any]) -> None:
    try:
        Deployment.model_validate(content, strict=False)
    except ValueError as error:
        raise UsageError(f"the experiment's settings make no deployment: {error}") from error


def _text(content: dict[str, Any], target: Path) -> str:
    import io
    import json

    if target.suffix == ".json":
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    from ruamel.yaml import YAML

    sink = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(content, sink)
    return sink.getvalue()
