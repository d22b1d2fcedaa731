"""Command lines that are wrong: each is refused in words that help, and nothing is written."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.harness import assert_refused
from trading_runtime.cli.options import MOST_WORKERS
from trading_runtime.config.experiment import Experiment

if TYPE_CHECKING:
    from pathlib import Path

USAGE, DATA, STORAGE = 2, 3, 8
LONG = "x" * 300
RUN_ID = "accepted are 1 to 63 lower-case letters, digits, '.' and '-'"

CASES: dict[str, tuple[int, list[str]]] = {
    # no such command, no such option, too many words, too few
    "": (USAGE, ["no command given", "accepted are init, doctor, config, data, plan"]),
    "nosuch": (USAGE, ["no command 'nosuch'", "accepted are init, doctor, config, data, plan"]),
    "--nosuch": (USAGE, ["'--nosuch'", "--help"]),
    "config": (USAGE, ["no command given", "check, schema", "trading-runtime config --help"]),
    "config chck small.json": (USAGE, ["'chck'", "'check'"]),
    "config check": (USAGE, ["'FILE'"]),
    "config schema more": (USAGE, ["extra argument", "more"]),
    "data": (USAGE, ["no command given", "prepare"]),
    "data prepare": (USAGE, ["'FILE'"]),
    "data inspect": (USAGE, ["'FOLDER'"]),
    "results": (USAGE, ["no command given", "export, list, robustness, seams, show"]),
    "results show": (USAGE, ["'RUN'"]),
    "results list more": (USAGE, ["extra argument"]),
    "results export one": (USAGE, ["'--to'", "csv, parquet"]),
    "runs": (USAGE, ["no command given", "list, logs, show, stop"]),
    "runs stop": (USAGE, ["'RUN_ID'"]),
    "plan": (USAGE, ["'FILE'"]),
    "plan small.json --run-id x": (USAGE, ["'--run-id'", "plan --help"]),
    "run": (USAGE, ["give the experiment file once"]),
    "run small.json --config small.json": (USAGE, ["give the experiment file once"]),
    "run small.json more": (USAGE, ["extra argument", "more"]),
    "run small.json --wrokers 2": (USAGE, ["'--wrokers'", "'--workers'"]),
    "run small.json --run-id": (USAGE, ["'--run-id'", "requires an argument"]),
    "verify": (USAGE, ["'RUN'"]),
    "verify one --all --sample 2": (USAGE, ["--sample N or --all, not both"]),
    "why one": (USAGE, ["'SECOND'"]),
    "replay one": (USAGE, ["the task's id, or --point and --partition"]),
    "replay one 2548 --point 0": (USAGE, ["not both"]),
    "gc more": (USAGE, ["extra argument"]),
    # files and folders
    "run nothere.json": (USAGE, ["nothere.json: there is no such file"]),
    "run dataset": (USAGE, ["dataset: is a folder", ".json"]),
    "run ''": (USAGE, ["is a folder"]),
    "run counting.py": (USAGE, ["counting.py", "'.py' is not an experiment"]),
    "run small.json/x": (USAGE, ["small.json/x: there is no such file"]),
    f"run {LONG}.json": (USAGE, ["xxx.json: cannot be read: File name too long"]),
    "plan nothere.json": (USAGE, ["nothere.json: there is no such file"]),
    "plan dataset": (USAGE, ["dataset: is a folder"]),
    "config check nothere.yaml": (USAGE, ["nothere.yaml: there is no such file"]),
    "config check dataset": (USAGE, ["dataset: is a folder"]),
    f"config check {LONG}.json": (USAGE, ["cannot be read: File name too long"]),
    "data prepare nothere.json": (USAGE, ["nothere.json: there is no such file"]),
    "data prepare dataset": (USAGE, ["dataset: a settings file is named .json"]),
    "data prepare s3://bucket/x.json": (USAGE, ["'s3://bucket/x.json' is an address"]),
    "data inspect small.json": (DATA, ["small.json: is a file", "folder with a manifest.json"]),
    "data inspect nothere": (DATA, ["nothere: the dataset does not exist"]),
    "data inspect s3://": (USAGE, ["s3://: not an address in S3", "s3://bucket/prefix"]),
    "data inspect gs://bucket/x": (USAGE, ["'gs://bucket/x'", "s3://bucket/prefix"]),
    "data inspect ''": (USAGE, ["'': neither the path of a folder nor an address"]),
    "data verify small.json": (DATA, ["small.json: is a file"]),
    "data verify gs://bucket/x": (USAGE, ["'gs://bucket/x'", "s3://bucket/prefix"]),
    "data adopt nothere": (DATA, ["nothere: not a Nautilus catalog"]),
    "data adopt s3://bucket/x": (USAGE, ["'s3://bucket/x' is an address"]),
    "results export one --to csv --output no/x.csv": (USAGE, ["no/x.csv", "no folder no;"]),
    "results export one --to csv --output dataset": (USAGE, ["'dataset' is a directory"]),
    "results export one --to parquet --output /proc/x": (STORAGE, ["/proc/", "cannot be written"]),
    "results export one --to csv --output /proc/x": (STORAGE, ["--output /proc/x: cannot be"]),
    "results show one --results nothere": (USAGE, ["no runs in nothere"]),
    "results show one --results small.json": (USAGE, ["small.json: is a file", "--results"]),
    "results show one --results s3://": (USAGE, ["s3://: not an address in S3"]),
    "results show one --results s3://UPPER/x": (USAGE, ["the bucket in lower case"]),
    "results show one --results gs://bucket/x": (USAGE, ["'gs://bucket/x'", "s3://bucket"]),
    "results show one --results ''": (USAGE, ["'': neither"]),
    "results list --results small.json": (USAGE, ["small.json: is a file"]),
    "runs list --results small.json": (USAGE, ["small.json: is a file"]),
    "runs list --results https://host/x": (USAGE, ["'https://host/x'"]),
    "verify one --experiment nothere.json": (USAGE, ["'nothere.json' does not exist"]),
    "verify one --dataset nothere": (DATA, ["nothere: the run's dataset is gone", "--dataset"]),
    "verify one --dataset s3://": (USAGE, ["s3://: not an address in S3"]),
    "why one two --results-b nothere": (USAGE, ["'two' is none in", "nothere"]),
    "gc --results nothere": (USAGE, ["nothere: there is no such folder"]),
    "gc --results small.json": (USAGE, ["small.json: there is no such folder"]),
    "gc --results s3://": (USAGE, ["s3://: not an address in S3"]),
    # numbers and choices
    "run small.json --workers 0": (USAGE, ["'--workers'", "1<=x<=1024"]),
    "run small.json --workers -3": (USAGE, ["'--workers'", "-3"]),
    "run small.json --workers two": (USAGE, ["'--workers'", "'two'"]),
    "run small.json --workers 1.5": (USAGE, ["'--workers'", "'1.5'"]),
    "run small.json --workers 99999999999": (USAGE, ["'--workers'", "1<=x<=1024"]),
    "plan small.json --workers x": (USAGE, ["'--workers'"]),
    "verify one --workers 0": (USAGE, ["'--workers'"]),
    "verify one --sample 0": (USAGE, ["'--sample'", "x>=1"]),
    "results show one --sort nope": (USAGE, ["--sort nope: no such column", "sharpe"]),
    "results show one --sort ''": (USAGE, ["--sort : no such column"]),
    "results show one --point 99": (USAGE, ["--point 99", "0 to 1"]),
    "results show one --point -1": (USAGE, ["--point -1", "0 to 1"]),
    "results show one --point x": (USAGE, ["'--point'", "'x'"]),
    "results show one --limit -1": (USAGE, ["'--limit'"]),
    "results export one --to xls": (USAGE, ["'--to'", "'xls'", "'csv', 'parquet'"]),
    "results export one --to csv --table tasks": (USAGE, ["'--table'", "'points', 'results'"]),
    "replay one --point 9 --partition 0": (USAGE, ["--point 9", "0 to 1"]),
    "replay one --point 0 --partition 7": (USAGE, ["--partition 7"]),
    "replay one 2548 --log-level LOUD": (USAGE, ["'--log-level'", "'LOUD'"]),
    "gc --older-than 1": (USAGE, ["--older-than", "'1' is not a duration"]),
    "gc --older-than -1d": (USAGE, ["--older-than", "'-1d'"]),
    "gc --older-than soon": (USAGE, ["--older-than", "'soon'"]),
    # run ids and task ids
    "run small.json --run-id ../../x": (USAGE, ["run id '../../x'", RUN_ID]),
    "run small.json --run-id ''": (USAGE, ["run id ''", RUN_ID]),
    "run small.json --run-id 'A b'": (USAGE, ["run id 'A b'", RUN_ID]),
    "run small.json --run-id a/b": (USAGE, ["run id 'a/b'", RUN_ID]),
    "run small.json --run-id ..": (USAGE, ["run id '..'", RUN_ID]),
    f"run small.json --run-id {'x' * 64}": (USAGE, [RUN_ID]),
    "results show ../one": (USAGE, ["run id '../one'", RUN_ID]),
    "results show nope": (USAGE, ["no run 'nope' in results", "one, two"]),
    "runs stop ../../x": (USAGE, ["run id '../../x'"]),
    "runs stop nope": (USAGE, ["no run 'nope'", "one, two"]),
    "runs stop one": (USAGE, ["run 'one' is not running"]),
    "verify ../x": (USAGE, ["run id '../x'"]),
    "verify nope": (USAGE, ["no run 'nope'", "one, two"]),
    "why one nope": (USAGE, ["'nope' is none"]),
    "why ../one two": (USAGE, ["'../one' is none"]),
    "why nope other": (USAGE, ["'nope' is neither a run", "hexadecimal digits"]),
    "why 0000 0001": (USAGE, ["no task '0000'"]),
    "replay ../x 2548": (USAGE, ["run id '../x'"]),
    "replay one zz": (USAGE, ["task 'zz'", "4 to 64 hexadecimal digits"]),
    "replay one ../../../../etc": (USAGE, ["task '../../../../etc'"]),
    "replay one 0000": (USAGE, ["no task '0000' in the run's plan"]),
}


@pytest.fixture(scope="module")
def untouched(whole: Path) -> Path:
    """The folder of both runs, which no case may change."""
    return whole


@pytest.mark.parametrize("line", CASES)
def test_a_wrong_command_line_is_refused(
    line: str,
    untouched: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(untouched)
    exit_code, words = CASES[line]

    assert_refused(shlex.split(line), exit_code, words, untouched, capsys)


def test_option_and_experiment_accept_as_many_workers() -> None:
    schema = Experiment.model_json_schema()["properties"]["workers"]

    assert schema["anyOf"][0]["maximum"] == MOST_WORKERS
