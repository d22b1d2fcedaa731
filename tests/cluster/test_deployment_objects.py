"""The objects that keep a deployment up on Kubernetes: as rendered, and as its schemas have them.

``python -m tests.cluster.test_deployment_objects`` writes the golden files anew.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.cluster.test_templates import strict
from trading_runtime.argo.cluster_objects import CONTAINER_SECURITY, USER, as_yaml, pod_security
from trading_runtime.argo.kept_on_cluster import prepare_for_cluster
from trading_runtime.cli.main import invoke, root

DATA = Path(__file__).resolve().parent.parent / "data"
FOLDER = DATA / "deployments"
IMAGE = f"ghcr.io/owner/backtest@sha256:{'ab' * 32}"
MONDAY_NOON = dt.datetime(2024, 1, 8, 17, tzinfo=dt.UTC)
SUNDAY = dt.datetime(2024, 1, 7, 17, tzinfo=dt.UTC)
NAMES = ("session", "program")


@cache
def rendered(name: str, now: dt.datetime = MONDAY_NOON) -> list[dict[str, Any]]:
    image = IMAGE if name == "session" else None
    documents = prepare_for_cluster(FOLDER / f"{name}.json", image, [9000]).documents(now)
    return list(json.loads(json.dumps(documents)))


def one(name: str, kind: str) -> dict[str, Any]:
    [found] = [item for item in rendered(name) if item["kind"] == kind]
    return dict(found)


@cache
def schema_of(kind: str) -> Draft202012Validator:
    if kind == "CronWorkflow":
        path = DATA / "argo" / "cronworkflow-4.0.2.json"
        return Draft202012Validator(strict(json.loads(path.read_text())))
    content = json.loads((DATA / "kubernetes" / "kubernetes-1.34.json").read_text())
    whole = {"$defs": content["$defs"], "$ref": f"#/$defs/{content['kinds'][kind]}"}
    return Draft202012Validator(strict(whole))


def problems(item: dict[str, Any]) -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in schema_of(item["kind"]).iter_errors(item)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_objects_are_those_of_the_golden_file(name: str) -> None:
    assert as_yaml(rendered(name)) == (FOLDER / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_knows_every_key(name: str) -> None:
    for item in rendered(name):
        assert problems(item) == []


def test_a_misspelt_key_would_be_found_however_deep() -> None:
    for kind, keys in (
        ("Deployment", ("spec", "template", "spec", "containers", 0, "livenessProbe")),
        ("NetworkPolicy", ("spec", "egress", 0)),
        ("Role", ("rules", 0)),
    ):
        wrong = copy.deepcopy(one("session", kind))
        inner: Any = wrong
        for key in keys:
            inner = inner[key]
        inner["stratgy"] = "x"
        [found] = problems(wrong)
        assert "'stratgy' was unexpected" in found


@pytest.mark.parametrize("name", NAMES)
def test_there_is_one_pod_at_a_time_as_secure_as_those_of_the_templates(name: str) -> None:
    spec = one(name, "Deployment")["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert pod["securityContext"] == dumped(pod_security(USER))
    assert container["securityContext"] == dumped(CONTAINER_SECURITY)
    assert pod["automountServiceAccountToken"] is False


def dumped(model: Any) -> dict[str, Any]:
    return dict(model.model_dump(by_alias=True, exclude_none=True))


def test_no_secret_and_nothing_of_this_machine_is_in_the_objects() -> None:
    for name in NAMES:
        text = as_yaml(rendered(name))
        assert "kept out of pods" not in text
        assert str(FOLDER) not in text
    [container] = one("program", "Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {item["name"]: item for item in container["env"]}
    assert variables["EXCHANGE_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "bot", "key": "EXCHANGE_KEY"}
    }


def test_what_kubernetes_would_fill_in_reaches_a_program_as_it_is_written() -> None:
    [container] = one("program", "Deployment")["spec"]["template"]["spec"]["containers"]

    assert container["command"] == ["node", "bot.js", "--price=$$(PRICE)"]
    assert {"name": "COST", "value": "5$$"} in container["env"]


def test_outside_its_hours_it_is_applied_without_a_pod() -> None:
    replicas = {
        now: [i["spec"]["replicas"] for i in rendered("session", now) if i["kind"] == "Deployment"]
        for now in (MONDAY_NOON, SUNDAY)
    }

    assert replicas == {MONDAY_NOON: [1], SUNDAY: [0]}


def test_the_account_of_its_hours_may_scale_this_deployment_and_no_other() -> None:
    [results, scale] = one("session", "Role")["rules"]

    assert results["resources"] == ["workflowtaskresults"]
    assert scale == {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "resourceNames": ["ema"],
        "verbs": ["get", "patch"],
    }


def test_a_change_of_the_file_or_the_image_rolls_it_over_and_a_note_does_not(
    tmp_path: Path,
) -> None:
    def template(**changes: Any) -> Any:
        path = tmp_path / "session.json"
        path.write_text(json.dumps(json.loads((FOLDER / "session.json").read_text()) | changes))
        documents = prepare_for_cluster(path, IMAGE, []).documents(MONDAY_NOON)
        return documents[1]["spec"]["template"]

    before = template()
    assert template(notes="another") == before
    assert template(seed=2)["metadata"] != before["metadata"]


def test_data_on_this_machine_and_an_image_by_tag_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((FOLDER / "session.json").read_text())
    path = tmp_path / "session.json"
    path.write_text(json.dumps(content | {"results": "results"}))
    assert invoke(root, ["deployments", "render", str(path), "--image", IMAGE]) == 2
    assert "results: " in (told := capsys.readouterr().err)
    assert "which pods do not see" in told

    words = ["deployments", "render", str(FOLDER / "session.json")]
    assert invoke(root, [*words, "--image", "ghcr.io/owner/backtest:latest"]) == 2
    assert "names no digest" in capsys.readouterr().err


LIVE = {
    "mode": "live",
    "data": {"source": "adapter", "adapter": "bybit", "instruments": ["BTCUSDT-LINEAR.BYBIT"]},
    "execution": {"venue": "adapter", "adapter": "bybit", "currency": "USDT"},
    "risk": {"max_order_quantity": 1},
    "stale_after": "5s",
}


def test_a_live_deployment_gets_its_keys_from_its_secret_once_it_was_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "session.json"
    path.write_text(json.dumps(json.loads((FOLDER / "session.json").read_text()) | LIVE))
    words = ["deployments", "render", str(path), "--image", IMAGE]
    assert invoke(root, words) == 2
    assert "give --live as well" in capsys.readouterr().err

    documents = prepare_for_cluster(path, IMAGE, [], is_live=True).documents(MONDAY_NOON)
    files, deployment = json.loads(json.dumps(documents))[:2]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert problems(deployment) == []
    assert container["args"][-1] == "--live"
    assert container["envFrom"] == [{"secretRef": {"name": "ema", "optional": False}}]
    assert json.loads(files["data"]["deployment.json"])["data"] == LIVE["data"]


def test_a_paper_deployment_is_not_made_live_by_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    for name in NAMES:
        words = ["deployments", "render", str(FOLDER / f"{name}.json"), "--image", IMAGE]
        assert invoke(root, [*words, "--live"]) == 2
        assert "leave" in capsys.readouterr().err


if __name__ == "__main__":
    for each in NAMES:
        (FOLDER / f"{each}.yaml").write_text(as_yaml(rendered(each)))
