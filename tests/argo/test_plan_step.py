"""The step ``plan`` refuses what cannot be run, in a line that Kubernetes shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.argo.test_steps import files_of, upload
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.cli.main import invoke
from trading_runtime.cli.step import step
from trading_runtime.errors import DataError, StorageError, UsageError
from trading_runtime.results.store import open_store
from trading_runtime.runs.opening import acquire_run
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.argo.pods import Pods
    from tests.small_experiment import SmallExperiment

BY_DIGEST = f"ghcr.io/owner/backtest@sha256:{'0a' * 32}"
NASTY = [
    "'",
    '"',
    "$(touch pwned)",
    "`touch pwned`",
    "a\nb",
    ";touch pwned",
    "{{=1}}",
    "--help",
    "é",
]


def settings(image: str, *, allow: bool = False) -> PodSettings:
    return PodSettings(image=image, allow_mutable_image=allow)


def test_a_bad_experiment_ends_with_its_message_and_no_outputs(
    small: SmallExperiment, pods: Pods
) -> None:
    small.write(seed="one")

    ended = pods.step("plan", "--config", str(small.path), "--run-id", "one")

    assert ended.code == 2
    assert ended.message.startswith(f"{small.path}:1:")
    assert "seed" in ended.message
    assert ended.message.splitlines() == [
        line.removeprefix("error: ") for line in ended.errors.splitlines()
    ]
    assert ended.outputs == {}
    assert not small.results.exists()


@pytest.mark.parametrize(
    "image",
    [
        "",
        "backtest",
        "ghcr.io/owner/backtest:latest",
        f"ghcr.io/owner/backtest:{'0a' * 20}",
        BY_DIGEST[:-1],
        f"{BY_DIGEST}0",
        f"{BY_DIGEST}\n",
        f"@sha256:{'0a' * 32}",
        f"a b@sha256:{'0a' * 32}",
        BY_DIGEST.upper(),
    ],
)
def test_an_image_that_is_not_named_by_digest_is_refused_before_anything_is_written(
    small: SmallExperiment, image: str
) -> None:
    with pytest.raises(UsageError, match="names no digest"):
        run_plan_step(str(small.path), "one", settings(image))
    assert not small.results.exists()


def test_a_tag_is_taken_when_it_is_allowed(small: SmallExperiment) -> None:
    run_plan_step(str(small.path), "one", settings("backtest:latest", allow=True))

    metadata = json.loads(small.run_file("one", "metadata.json").read_text())
    assert metadata["image"] == "backtest:latest"
    with pytest.raises(UsageError, match="names no digest"):
        run_plan_step(str(small.path), "one", settings("", allow=True))


def test_the_image_is_in_the_metadata_and_the_executor_is_argo(small: SmallExperiment) -> None:
    planned = run_plan_step(str(small.path), "one", settings(BY_DIGEST))

    metadata = json.loads(small.run_file("one", "metadata.json").read_text())
    assert (metadata["image"], metadata["executor"], metadata["status"]) == (
        BY_DIGEST,
        "argo",
        "running",
    )
    assert (planned.tasks, planned.pending, planned.batches) == (12, 12, 4)


def test_an_id_with_another_plan_or_that_runs_is_refused(small: SmallExperiment) -> None:
    run_plan_step(str(small.path), "one", PodSettings())
    with pytest.raises(UsageError, match="'one' exists with another plan"):
        run_plan_step(str(small.write(seed=2)), "one", PodSettings())
    with (
        acquire_run(open_store(small.results), "two"),
        pytest.raises(UsageError, match="'two' is running already"),
    ):
        run_plan_step(str(small.path), "two", PodSettings())


@pytest.mark.parametrize("nasty", NASTY)
def test_no_parameter_does_more_than_be_refused(
    small: SmallExperiment,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    nasty: str,
) -> None:
    monkeypatch.chdir(small.folder)
    before = files_of(small.folder)
    good = {
        "config": str(small.path), "run-id": "one", "image": BY_DIGEST, "code": "0" * 64,
        "batch-seconds": "1", "most-batches": "2",
    }  # fmt: skip
    for name in good:
        options = [f"--{key}={nasty if key == name else value}" for key, value in good.items()]
        # Without an archive of that digest, even the good values end here.
        assert invoke(step, ["--step", "plan", *options]) in {2, 3}, name
        assert capsys.readouterr().err.startswith("error: "), name
    assert files_of(small.folder) == before


def test_the_results_are_given_out_as_kubernetes_takes_an_argument(
    small: SmallExperiment, pods: Pods
) -> None:
    path = small.write(results="of $(AWS_SECRET_ACCESS_KEY) $$")
    plan = pods.step("plan", "--config", str(path), "--run-id", "one")

    assert plan.outputs["results"].endswith("/of $(AWS_SECRET_ACCESS_KEY) $$")
    assert plan.outputs["results_argument"].endswith("/of $$(AWS_SECRET_ACCESS_KEY) $$$$")


def test_names_of_files_with_spaces_and_quotes_are_only_names(
    small: SmallExperiment, pods: Pods
) -> None:
    odd = small.folder / "a 'b' \"$(touch pwned)\";.json"
    small.path.rename(odd)

    assert pods.step("plan", "--config", str(odd), "--run-id", "one").code == 0
    assert not list(small.folder.rglob("pwned"))


# --- experiments in S3 ---


def test_an_object_that_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(UsageError, match=rf"{bucket}/x\.json: there is no such object"):
        run_plan_step(f"{bucket}/x.json", "one", PodSettings())


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    assert bucket
    with pytest.raises(StorageError, match="s3://no-such-bucket: no such bucket"):
        run_plan_step("s3://no-such-bucket/x.json", "one", PodSettings())


def test_mistakes_in_a_file_in_s3_are_shown_with_its_address(
    small: SmallExperiment, bucket: str
) -> None:
    small.write(seed="one", strategy={"path": "trading_runtime.strategies.do_nothing:DoNothing"})
    S3Folder(bucket).write("deep/x.json", small.path.read_bytes())

    with pytest.raises(UsageError, match=rf"^{bucket}/deep/x\.json:1:\d+: seed: "):
        run_plan_step(f"{bucket}/deep/x.json", "one", PodSettings())


def test_a_strategy_file_that_was_not_sent_is_missed_in_words(
    small: SmallExperiment, bucket: str
) -> None:
    S3Folder(bucket).write("x.json", small.path.read_bytes())

    with pytest.raises(
        UsageError, match=r"strategy.path: there is no file 'counting.py'"
    ) as caught:
        run_plan_step(f"{bucket}/x.json", "one", PodSettings())
    assert "send it with 'trading-runtime submit'" in str(caught.value)


def test_an_archive_that_is_missing_is_a_matter_of_data(
    small: SmallExperiment, small_dataset: Path, bucket: str
) -> None:
    upload(small_dataset, f"{bucket}/data")
    small.write(dataset={"path": "../data"}, results="../results")
    S3Folder(bucket).write("deep/x.json", small.path.read_bytes())

    with pytest.raises(DataError, match=rf"{bucket}/results/code/f{{64}}\.tar: there is no such"):
        run_plan_step(f"{bucket}/deep/x.json", "one", PodSettings(code="f" * 64))


def test_a_summary_without_a_plan_says_so(small: SmallExperiment, pods: Pods) -> None:
    for results in ("", str(small.results)):
        ended = pods.step("summary", "--results", results, "--run-id", "one")
        assert ended.code == 2
        assert "the run was not planned; the message of the step 'plan', or of" in ended.message


def argo_lists(*failed: tuple[str, str, str]) -> str:
    """Return failed steps as Argo gives them to an exit handler: JSON, quoted as Go does."""
    keys = ("templateName", "message", "finishedAt")
    return json.dumps(json.dumps([dict(zip(keys, each, strict=True)) for each in failed]))


@pytest.mark.parametrize(
    ("failures", "code", "message"),
    [
        (
            argo_lists(
                ("plan", "No more retries left", "2026-01-01T00:00:09Z"),
                ("plan", "main: Error (exit code 75): away\nfor long", "2026-01-01T00:00:05Z"),
                ("plan", 'Error (exit code 10): "it\'s" $(off)', "2026-01-01T00:00:08Z"),
                ("batch", "Error (exit code 3): lost", "2026-01-01T00:00:10Z"),
            ),
            10,
            '"it\'s" $(off)',
        ),
        (
            argo_lists(("ask", "OOMKilled (exit code 137)", "2026-01-01T00:00:09Z")),
            5,
            "a pod that planned ended so: OOMKilled (exit code 137)",
        ),
        (
            argo_lists(("plan", "Pod was active longer than", "2026-01-01T00:00:09Z")),
            5,
            "no pod planned the run: Pod was active longer than",
        ),
        (argo_lists(("batch", "Error (exit code 3)", "2026-01-01T00:00:09Z")), 2, "not planned"),
        (argo_lists(("plan", "x" * 90, "2026-01-01T00:00:09Z"))[:60], 2, "not planned"),
    ],
    ids=["the last attempt", "no words", "no exit code", "another step", "cut off"],
)
def test_a_summary_without_a_plan_ends_as_the_pod_that_planned_did(
    failures: str, code: int, message: str, small: SmallExperiment
) -> None:
    words = ["--step=summary", "--results=", "--run-id=one", f"--failures={failures}"]
    with pytest.MonkeyPatch.context() as patch:
        said = small.folder / "said"
        patch.setenv("TRADING_RUNTIME_TERMINATION_LOG", str(said))
        assert invoke(step, words) == code
    assert message in said.read_text()
