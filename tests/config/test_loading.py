"""From an experiment file to a checked experiment."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_runtime.config.experiment import Experiment, PartitionUnit, RangeValues
from trading_runtime.config.loading import (
    explicit,
    find_experiment,
    load_experiment,
    parse_experiment,
)
from trading_runtime.errors import UsageError

YAML = """\
name: ema-cross
seed: 7
dataset: {path: data}
partitions: {by: week, warmup: 1d, start: 2022-01-03}
strategy:
  path: package.module:EmaCross
  config: {size: 0.1, threshold: 1e-3, label: "0.1", when: 2022-01-03, flag: on}
venue:
  account_type: margin
  balances: [100000.50 USDT]
  leverage: 2.5
  fees: {model: none}   # 'none' is a text here, as YAML 1.2 has it
parameters:
  fast: [1, 0.30, true, null, x, [1, 2.5]]
"""


def write(folder: Path, content: dict[str, Any], name: str = "local.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_json_and_yaml_of_the_same_content_give_the_same_experiment(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    as_json = write(tmp_path, content)
    as_yaml = write(tmp_path, content, "local.yaml")

    assert load_experiment(as_json).experiment == load_experiment(as_yaml).experiment


def test_numbers_are_read_exactly_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(YAML, encoding="utf-8")

    experiment = load_experiment(path).experiment

    assert experiment.strategy.config == {
        "size": Decimal("0.1"),
        "threshold": Decimal("0.001"),
        "label": "0.1",
        "when": "2022-01-03",
        "flag": "on",
    }
    assert experiment.venue.leverage == Decimal("2.5")
    values = experiment.parameters["fast"]
    assert values == [1, Decimal("0.3"), True, None, "x", [1, Decimal("2.5")]]
    assert isinstance(values, list)
    assert [type(value) for value in values[:3]] == [int, Decimal, bool]


def test_defaults_are_those_of_the_reference(tmp_path: Path, content: dict[str, Any]) -> None:
    del content["partitions"], content["objective"]

    experiment = load_experiment(write(tmp_path, content)).experiment

    assert experiment.partitions.by is PartitionUnit.WHOLE
    assert experiment.equity.interval == "1h"
    assert experiment.statistics.periods_per_year is None
    assert experiment.statistics.calendar == "observed"
    assert experiment.at_end == "mark"
    assert experiment.objective.metric == "sharpe"
    assert experiment.parameters["slow"] == RangeValues(
        start=Decimal(20), stop=Decimal(60), step=Decimal(20)
    )


def test_relative_paths_start_at_the_folder_of_the_file(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "cross.py").touch()
    (tmp_path / "experiments").mkdir()
    content["dataset"]["path"] = "../data"
    content["results"] = "/var/results"
    content["strategy"]["path"] = "../code/cross.py:EmaCross"
    content["strategy"]["code"] = ["../code"]
    write(tmp_path / "experiments", content)
    monkeypatch.chdir(tmp_path)

    loaded = load_experiment("experiments/local.json")

    assert loaded.path == tmp_path / "experiments" / "local.json"
    assert loaded.dataset_place == str(tmp_path / "data")
    assert loaded.results_place == "/var/results"
    assert loaded.strategy_file == tmp_path / "code" / "cross.py"
    assert loaded.config_file is None
    assert loaded.code_paths == (tmp_path / "code",)


def test_a_tilde_is_the_home_folder(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    content["dataset"]["path"] = "~/data"

    loaded = load_experiment(write(tmp_path, content))

    assert loaded.dataset_place == str(tmp_path / "home" / "data")


def test_data_and_results_may_lie_in_s3(tmp_path: Path, content: dict[str, Any]) -> None:
    content["dataset"]["path"] = "s3://research/data/btc"
    content["results"] = "s3://research/results/"

    loaded = load_experiment(write(tmp_path, content))

    assert loaded.dataset_place == "s3://research/data/btc"
    assert loaded.results_place == "s3://research/results"


def test_a_strategy_in_a_module_or_in_rust_has_no_file(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    assert load_experiment(write(tmp_path, content)).strategy_file is None
    content["strategy"]["path"] = "builtin:EmaCross"
    del content["partitions"]["warmup"]
    assert load_experiment(write(tmp_path, content)).strategy_file is None


def test_the_explicit_form_reads_again_as_an_equal_experiment(tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(YAML, encoding="utf-8")
    experiment = load_experiment(path).experiment

    text = json.dumps(explicit(experiment))

    again = parse_experiment(text, ".json", "experiment.json", tmp_path)
    assert again == experiment
    assert json.dumps(explicit(again)) == text


def test_the_explicit_form_of_a_search_reads_again(tmp_path: Path, content: dict[str, Any]) -> None:
    content["search"] = {"method": "random", "points": 2}
    experiment = load_experiment(write(tmp_path, content)).experiment

    text = json.dumps(explicit(experiment))

    assert parse_experiment(text, ".json", "experiment.json", tmp_path) == experiment


def test_the_explicit_form_names_every_default(tmp_path: Path, content: dict[str, Any]) -> None:
    shown = explicit(load_experiment(write(tmp_path, content)).experiment)

    assert shown["$schema"] == "schemas/experiment.schema.json"
    assert shown["venue"]["leverage"] == "3"
    assert shown["venue"]["fees"]["taker"] == "0.0005"
    assert shown["strategy"]["config"] == {"size": 0.1}
    assert shown["limits"] == {
        "task_seconds": 3600,
        "task_memory": None,
        "stop_after": None,
    }
    assert shown["partitions"]["by"] == "week"
    assert shown["workers"] is None


def test_a_name_that_the_current_folder_has_is_taken_without_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "local.json").touch()
    monkeypatch.chdir(tmp_path)

    assert find_experiment("local.json", tmp_path / "other") == (Path("local.json"), None)


def test_a_name_that_it_has_not_is_looked_for_beside_the_entrypoint_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "entrypoint"
    beside.mkdir()
    (beside / "local.json").touch()
    monkeypatch.chdir(tmp_path)

    path, note = find_experiment("local.json", beside)

    assert path == beside / "local.json"
    assert note == f"local.json is not in the current folder; using {beside / 'local.json'}"


def test_a_name_that_neither_has_is_refused_with_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=r"^nowhere\.json: .*current folder, nor in .*beside"):
        find_experiment("nowhere.json", tmp_path / "beside")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load_experiment(tmp_path / "local.json")
    with pytest.raises(UsageError, match="is a folder"):
        load_experiment(tmp_path)


def test_a_byte_order_mark_and_tabs_in_json_do_no_harm(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    path = tmp_path / "local.json"
    path.write_text("\ufeff" + json.dumps(content, indent="\t"), encoding="utf-8")

    assert load_experiment(path).experiment.name == "ema-cross"


def test_an_error_names_line_and_column_in_indented_json(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    content["seed"] = "seven"
    path = tmp_path / "local.json"
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")

    with pytest.raises(UsageError) as failure:
        load_experiment(path)

    lines = path.read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if '"seed"' in text)
    assert str(failure.value).startswith(f"{path}:{line}:11: seed: must be a whole number")


def test_json_is_read_without_the_yaml_library(tmp_path: Path, content: dict[str, Any]) -> None:
    path = write(tmp_path, content)
    code = (
        "import sys; from trading_runtime.config.loading import load_experiment; "
        f"load_experiment({str(path)!r}); "
        "print([name for name in ('ruamel', 'polars', 'nautilus_trader') if name in sys.modules])"
    )

    # The command is this interpreter and the code above.
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )

    assert output.stdout == "[]\n"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "1d", "100 USD", "A.B", "~", "s3://a", "fixed", "a\nb", "\0", "é"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "low", "start", "x", "", "path"]), inner)
    ),
    max_leaves=6,
)


@given(data=st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_written_the_answer_is_an_experiment_or_a_usage_error(
    data: st.DataObject, content: dict[str, Any]
) -> None:
    changed = json.loads(json.dumps(content))
    for _ in range(data.draw(st.integers(1, 3))):
        inside = changed
        key = data.draw(st.sampled_from(sorted(Experiment.model_fields)))
        while isinstance(inside.get(key), dict) and data.draw(st.booleans()):
            inside = inside[key]
            key = data.draw(st.sampled_from([*sorted(inside), "unknown"]))
        inside[key] = data.draw(VALUES)

    try:
        experiment = parse_experiment(json.dumps(changed), ".json", "x.json", Path("/"))
    except UsageError as error:
        assert all(line.startswith("x.json:") for line in str(error).split("\n"))  # noqa: PT017
    else:
        again = json.dumps(explicit(experiment))
        assert parse_experiment(again, ".json", "x.json", Path("/")) == experiment
        assert experiment.plain() == experiment.model_dump()
        assert experiment.plain(by_alias=True) == experiment.model_dump(by_alias=True)
