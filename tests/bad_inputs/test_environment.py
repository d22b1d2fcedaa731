"""Processes started in a world that lacks something: each ends in words, with its own exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.harness import assert_said, contents
from tests.small_experiment import ROOT

if TYPE_CHECKING:
    from pathlib import Path

USAGE, STORAGE = 2, 8
COMMAND = [sys.executable, "-m", "trading_runtime.cli.main"]
PLAIN = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
RUN = ["run", "small.json", "--run-id", "three", "--workers", "1"]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
AWS = {
    "AWS_ACCESS_KEY_ID": "canary-key-id",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}
IN_S3 = ["results", "list", "--results", "s3://bucket/x"]


def start(
    arguments: list[str] | list[bytes], folder: Path | str, variables: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=PLAIN | variables,
        check=False,
        timeout=120,
        capture_output=True,
    )


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in which ``PROGRAM`` stands for the command."""
    program = f"{sys.executable} -m trading_runtime.cli.main"
    return subprocess.run(
        ["/bin/bash", "-c", line.replace("PROGRAM", program)],
        cwd=folder,
        env=PLAIN,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


REFUSED: dict[str, tuple[list[str] | list[bytes], dict[str, str], int, list[str]]] = {
    "unknown-home": (["config", "check", "home.json"], {}, USAGE, ["home.json", "home folder is"]),
    "no-such-name": ([b"config", b"check", b"\xff\xfe.json"], {}, USAGE, ["udcff", "not UTF-8"]),
    "name-of-a-run": ([b"run", b"small.json", b"--run-id", b"\xff"], {}, USAGE, ["not UTF-8"]),
    "name-of-results": ([b"results", b"list", b"--results", b"\xff"], {}, USAGE, ["not UTF-8"]),
    "name-of-a-dataset": ([b"data", b"inspect", b"\xff"], {}, USAGE, ["not UTF-8"]),
    "name-to-write": (
        [b"data", b"prepare", b"small.json", b"--to", b"\xff"], {}, USAGE, ["not UTF-8"]
    ),
    "name-of-a-task": ([b"why", b"\xff", b"one"], {}, USAGE, ["not UTF-8"]),
    "ascii-locale": (["config", "check", "größe.json"], ASCII, USAGE, ["not UTF-8", "LANG"]),
    "write-to-proc": (["run", "proc.json"], {}, STORAGE, ["/proc/nowhere", "cannot be written"]),
    "results-are-a-file": (["run", "file.json"], {}, STORAGE, ["counting.py", "Not a directory"]),
    "endpoint-is-text": (
        IN_S3, AWS | {"AWS_ENDPOINT_URL": "not a url"}, STORAGE, ["AWS_ENDPOINT_URL is not"]
    ),
    "endpoint-is-ftp": (
        IN_S3, AWS | {"AWS_ENDPOINT_URL": "ftp://127.0.0.1:1"}, STORAGE, ["AWS_ENDPOINT_URL is not"]
    ),
    "endpoint-is-half": (
        IN_S3, AWS | {"AWS_ENDPOINT_URL": "http://"}, STORAGE, ["AWS_ENDPOINT_URL is not"]
    ),
    "endpoint-without-port": (
        IN_S3, AWS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:x"}, STORAGE, ["AWS_ENDPOINT_URL is"]
    ),
    "region-is-text": (
        IN_S3, AWS | {"AWS_DEFAULT_REGION": "no region!"}, STORAGE, ["AWS_DEFAULT_REGION is not"]
    ),
    "profile-is-unknown": (IN_S3, AWS | {"AWS_PROFILE": "nosuch"}, STORAGE, ["AWS_PROFILE names"]),
    "credentials-are-a-program": (
        IN_S3, AWS | {"AWS_SHARED_CREDENTIALS_FILE": sys.executable}, STORAGE, ["AWS_SHARED_CRED"]
    ),
    "half-of-the-credentials": (
        IN_S3, AWS | {"AWS_SECRET_ACCESS_KEY": ""}, STORAGE, ["no credentials", "AWS_ACCESS_KEY_ID"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_go_on_is_refused(name: str, here: Path) -> None:
    arguments, variables, exit_code, words = REFUSED[name]
    content = json.loads((here / "small.json").read_text())
    for other, results in (
        ("home", "~no-such-user/x"), ("proc", "/proc/nowhere"), ("file", "counting.py")
    ):  # fmt: skip
        (here / f"{other}.json").write_text(json.dumps(content | {"results": results}))
    before = contents(here)

    ended = start(arguments, here, variables)

    assert (ended.returncode, ended.stdout) == (exit_code, b""), ended.stderr
    assert_said(words, ended.stderr.decode())
    assert b"canary" not in ended.stderr
    assert contents(here) == before


def test_a_folder_whose_name_is_not_utf_8_is_refused(here: Path) -> None:
    folder = os.fsencode(here) + b"/\xff"
    os.mkdir(folder)  # noqa: PTH102 - a name in bytes
    (here / "small.json").rename(here / os.fsdecode(b"\xff") / "small.json")

    ended = start(["run", "small.json"], os.fsdecode(folder), {})

    assert (ended.returncode, ended.stdout) == (USAGE, b"")
    assert_said(["small.json", "is not UTF-8"], ended.stderr.decode())


def test_a_file_that_is_exported_where_nothing_can_be_written_is_refused(here: Path) -> None:
    ended = start(
        ["results", "export", "one", "--to", "parquet", "--results", str(here / "results")],
        "/proc",
        {},
    )

    assert ended.returncode == STORAGE
    assert_said(["one-points.parquet: cannot be written"], ended.stderr.decode())


FINE: dict[str, dict[str, str]] = {
    "no variable but the path": {},
    "no such home": {"HOME": "/nonexistent"},
    "no such folder for temporary files": {"TMPDIR": "/nonexistent"},
    "a file as folder for temporary files": {"TMPDIR": "/etc/passwd"},
    "an ASCII locale": ASCII,
    "a locale that is not installed": {"LANG": "xx_YY.UTF-8", "LC_ALL": "xx_YY.UTF-8"},
    "a time zone that does not exist": {"TZ": "Nowhere/Else"},
}


@pytest.mark.parametrize("name", FINE)
def test_a_run_needs_none_of_it(name: str, here: Path) -> None:
    experiment = json.loads((here / "small.json").read_text())
    (here / "small.json").write_text(json.dumps(experiment | {"results": "others"}))

    ended = start([*RUN, "--json"], here, FINE[name])

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["run_digest"]
    first = json.loads((here / "results/runs/one/result.json").read_text())["run_digest"]
    assert found == first


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_run_that_was_started_without_a_standard_stream_ends_well(
    number: int, here: Path
) -> None:
    direction = "<" if number == 0 else ">"

    ended = shell(f"PROGRAM run small.json --run-id three {number}{direction}&-", here)

    assert ended.returncode == 0, ended.stderr
    assert (here / "results/runs/three/result.json").read_bytes() == (
        here / "results/runs/one/result.json"
    ).read_bytes()


def test_a_reader_that_leaves_early_is_no_error(here: Path) -> None:
    ended = shell("set -o pipefail; PROGRAM config schema | head -n 1", here)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "{\n", "")


@pytest.mark.parametrize("arguments", ["results show one", "config schema", "runs list --json"])
def test_an_output_that_takes_nothing_is_an_error_of_storage(arguments: str, here: Path) -> None:
    ended = shell(f"PROGRAM {arguments} > /dev/full", here)

    assert ended.returncode == STORAGE
    assert_said(["standard output cannot be written: No space left"], ended.stderr)
