"""What is applied to a cluster is what the sources say, and only what Argo's schemas know."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from argo.render import rendered
from trading_runtime.argo.parameters import CHECKS
from trading_runtime.cli.data_import import import_
from trading_runtime.datasets.formats import formats

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "argo").glob("workflowtemplate-*.yaml"))
SCHEMAS = sorted((ROOT / "tests" / "data" / "argo").glob("workflowtemplate-*.json"))
REFERENCE = re.compile(r"workflow\.parameters(?:\.([a-z-]+)|\['([a-z-]+)'\])")


def template(name: str) -> dict[str, Any]:
    """Return a rendered WorkflowTemplate, as Argo reads it."""
    path = ROOT / "argo" / f"workflowtemplate-{name}.yaml"
    content: dict[str, Any] = YAML(typ="safe").load(path)
    return content


def part(name: str) -> dict[str, Any]:
    """Return one of the templates in `backtest`."""
    [found] = [item for item in template("backtest")["spec"]["templates"] if item["name"] == name]
    return dict(found)


def strict(schema: Any) -> Any:
    """Return a schema in which a key that is not named is an error, as a typing mistake makes."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        # In `properties` and `$defs` the keys are names.
        key: {name: strict(item) for name, item in value.items()}
        if key in {"properties", "$defs"}
        else strict(value)
        for key, value in schema.items()
    }
    if "properties" in found and not found.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    if found.pop("x-kubernetes-int-or-string", False):
        found.pop("type", None)
    return found


def problems(schema: Path, content: Any) -> list[str]:
    """Return what a schema of Argo finds wrong."""
    validator = Draft202012Validator(strict(json.loads(schema.read_text())))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(content)]


def test_the_files_are_what_the_sources_render() -> None:
    there = [*FILES, ROOT / "argo" / "parameters.tsv"]
    assert {path.name: path.read_text() for path in there} == rendered()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_argo_knows_every_key(path: Path, schema: Path) -> None:
    assert problems(schema, YAML(typ="safe").load(path)) == []


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_a_misspelt_key_would_be_found_however_deep(schema: Path) -> None:
    content = template("backtest")
    for keys in (("spec", "podGC"), ("spec", "templates", -1, "container", "securityContext")):
        wrong = copy.deepcopy(content)
        inner: Any = wrong
        for key in keys:
            inner = inner[key]
        inner["stratgy"] = "x"
        found = problems(schema, wrong)
        assert len(found) == 1, found
        assert "'stratgy' was unexpected" in found[0]


@pytest.mark.skipif(shutil.which("argo") is None, reason="argo is not on the PATH")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_argo_finds_nothing_to_complain_of(path: Path) -> None:
    command = ["argo", "lint", "--offline", "--strict", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["backtest", "build-push-ghcr", "import", "prepare"])
def test_every_parameter_is_used_and_every_one_that_is_used_is_there(name: str) -> None:
    spec = template(name)["spec"]
    declared = {item["name"] for item in spec["arguments"].pop("parameters")}
    used = {one or other for one, other in REFERENCE.findall(json.dumps(spec))}
    assert used == declared


def test_an_experiment_is_all_that_must_be_said_once_an_image_is_deployed() -> None:
    parameters = template("backtest")["spec"]["arguments"]["parameters"]
    assert [item["name"] for item in parameters if "value" not in item] == ["experiment", "image"]


AS_THEY_ARE = {
    # Names and numbers that Argo and Kubernetes make are of plain letters.
    "steps.name",
    "inputs.parameters.number",
    "inputs.parameters.generation",
    "workflow.namespace",
    "workflow.name",
    # A run id has only letters, digits and dots, dashes, underscores.
    "workflow.outputs.parameters.run_id",
    # The step plan doubled every $ in it.
    "workflow.outputs.parameters.results_argument",
}


@pytest.mark.parametrize("name", ["backtest", "build-push-ghcr", "import", "prepare"])
def test_parameters_reach_containers_as_they_are_given(name: str) -> None:
    """Kubernetes reads `$(NAME)` in arguments and values; a doubled `$` is a plain one."""
    for item in template(name)["spec"]["templates"]:
        container = item.get("container", {})
        texts = [
            *container.get("args", []),
            *(e.get("value", "") for e in container.get("env", [])),
        ]
        for text in texts:
            for inside in re.findall(r"\{\{(.*?)\}\}", text):
                assert (
                    inside.startswith("=sprig.replace('$', '$$', ")
                    or inside in AS_THEY_ARE
                    or f"? '--allow-mutable-image' : '--step={item['name']}'" in inside
                ), inside


def test_no_parameter_is_pasted_into_a_script() -> None:
    [build] = template("build-push-ghcr")["spec"]["templates"]
    assert build["container"]["command"] == ["sh", "-c"]
    assert build["container"]["args"] == [(ROOT / "argo" / "build-image.sh").read_text()]
    assert "{{" not in build["container"]["args"][0]
    for item in template("backtest")["spec"]["templates"]:
        assert "script" not in item
        if "container" in item:
            assert item["container"]["command"] == ["python", "trading_runtime/local/backtest.py"]


def outputs_of(name: str) -> dict[str, str]:
    """Return which outputs of the workflow a step writes, and from which files."""
    parameters = part(name)["outputs"]["parameters"]
    return {
        item["globalName"]: item["valueFrom"]["path"].rpartition("/")[2]
        for item in parameters
        if "globalName" in item
    }


def test_a_pod_of_work_is_given_nothing_that_argo_would_keep_for_each() -> None:
    groups = {step["name"]: step for [step] in part("work")["steps"]}
    assert list(groups) == ["batch", "check", "again"]
    counts = ("inputs.parameters.batches", "steps.check.outputs.parameters.batches")
    for name, count in zip(("batch", "again"), counts, strict=True):
        # Its own name tells a pod its number, and which run of a search it belongs to.
        named = {"count": f"{{{{{count}}}}}", "format": "%d{{inputs.parameters.generation}}"}
        assert groups[name]["withSequence"] == named
        # What failed does not end the workflow: the store is asked, not the status.
        assert groups[name]["continueOn"] == {"error": True, "failed": True}
        assert "inputs" not in part(name)
        assert "arguments" not in groups[name]
        arguments = part(name)["container"]["args"]
        assert "--batch={{steps.name}}" in arguments
        assert "--generation={{steps.name}}" in arguments


def test_argo_counts_the_tasks_of_each_pod_as_the_step_before_has_listed_them() -> None:
    for name, listed, sources in (
        ("batch", "tasks", ("plan", "ask")),
        ("again", "missing_tasks", ("check",)),
    ):
        assert all(outputs_of(source)[listed] == listed for source in sources)
        [(key, text)] = part(name)["metadata"]["annotations"].items()
        assert key == "workflows.argoproj.io/progress"
        assert text == (
            f"0/{{{{=get(split(workflow.outputs.parameters.{listed}, ' '), "
            "int(split(split(steps.name, '(')[1], ':')[0])) ?? '1'}}"
        )


def test_rounds_of_a_search_come_one_after_the_other_until_it_ends() -> None:
    run = {step["name"]: step for [step] in part("run")["steps"]}
    assert list(run) == ["plan", "search", "work", "unplanned"]
    # Other experiments have no rounds.
    planned = "steps.plan.status == 'Succeeded'"
    rounds = "workflow.outputs.parameters.rounds"
    assert run["search"]["when"] == f"{{{{={planned} && {rounds} != '0'}}}}"
    # The plan says how many there may be, and no step after it.
    most = "{{workflow.outputs.parameters.most_rounds}}"
    assert run["search"]["arguments"]["parameters"] == [{"name": "count", "value": most}]
    assert outputs_of("plan")["most_rounds"] == "rounds"
    assert "most_rounds" not in outputs_of("ask")
    assert part("rounds")["parallelism"] == 1
    [[each]] = part("rounds")["steps"]
    assert each["withSequence"] == {"count": "{{inputs.parameters.count}}"}
    # Both the plan and each step ask say how many there are.
    assert each["when"] == "{{item}} < {{workflow.outputs.parameters.rounds}}"
    assert outputs_of("plan")["rounds"] == outputs_of("ask")["rounds"] == "rounds"
    groups = {step["name"]: step for [step] in part("round")["steps"]}
    assert list(groups) == ["ask", "work"]
    # The same work as that of a run, for the run that the round has asked for.
    asked = "{{steps.ask.outputs.parameters.generation}}"
    for of, planned_by, batches, generation in (
        (run, "plan", "batches", ""),
        (groups, "ask", "asked_batches", asked),
    ):
        given = [
            {"name": "batches", "value": f"{{{{workflow.outputs.parameters.{batches}}}}}"},
            {"name": "generation", "value": generation},
        ]
        assert of["work"]["arguments"]["parameters"] == given
        assert outputs_of(planned_by)[batches] == "batches"
    # An output of the workflow has the last value alone; `argo retry` may repeat earlier rounds.
    assert "generation" not in outputs_of("ask")


def test_where_nothing_was_planned_all_else_is_left_out_and_the_summary_is_told_why() -> None:
    run = {step["name"]: step for [step] in part("run")["steps"]}
    for name in ("plan", "search"):
        assert run[name]["continueOn"] == {"error": True, "failed": True}
    good = "steps.plan.status == 'Succeeded' && steps.search.status in ['Succeeded', 'Skipped']"
    assert run["work"]["when"] == f"{{{{={good}}}}}"
    assert run["unplanned"]["when"] == f"{{{{=!({good})}}}}"
    # A step that waits fails when the workflow is stopped or terminated.
    assert part("unplanned")["suspend"] == {"duration": "1s"}
    # Argo would wait for ever for an output of a step that has none.
    for name in ("search", "work", "unplanned"):
        assert "steps.plan.outputs" not in json.dumps(run[name])
    given = "--failures={{=sprig.replace('$', '$$', sprig.trunc(16000, workflow.failures))}}"
    assert given in part("summary")["container"]["args"]


def test_the_summary_runs_whatever_happened_before() -> None:
    assert template("backtest")["spec"]["onExit"] == "summary"


def test_at_most_a_thousand_pods_compute() -> None:
    parameters = template("backtest")["spec"]["arguments"]["parameters"]
    assert {item["name"]: item.get("value") for item in parameters}["most-batches"] == "1000"


@pytest.mark.parametrize("name", ["plan", "ask", "batch", "check", "again", "summary"])
def test_every_pod_has_a_deadline_and_limits(name: str) -> None:
    found = part(name)
    assert found["activeDeadlineSeconds"].startswith("{{workflow.parameters.")
    # The places that Argo fills in hold no quotes of their own.
    pod = found["podSpecPatch"][found["podSpecPatch"].index('{"containers"') :]
    patched = json.loads(re.sub(r"\{\{=toJSON\(.*?\)\}\}", '"x"', pod))
    [main] = patched["containers"]
    assert main["name"] == "main"
    assert set(main["resources"]["requests"]) == {"cpu", "memory"}
    assert set(main["resources"]["limits"]) == {"memory"}


@pytest.mark.parametrize("name", ["backtest", "build-push-ghcr", "import", "prepare"])
def test_only_argos_container_has_a_token(name: str) -> None:
    spec = template(name)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["executor"]["serviceAccountName"] != spec["serviceAccountName"]


def test_every_container_of_a_backtest_is_restricted() -> None:
    spec = template("backtest")["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    patched = json.loads(spec["podSpecPatch"])
    argos = [*patched["initContainers"], *patched["containers"]]
    assert [item["name"] for item in argos] == ["init", "wait"]
    mains = [item["container"] for item in spec["templates"] if "container" in item]
    assert len(mains) == 6
    for container in [*argos, *mains]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
    # Nothing but a volume of the pod's own can be written to.
    assert spec["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    assert all(item["volumeMounts"] == [{"mountPath": "/tmp", "name": "scratch"}] for item in mains)


@pytest.mark.parametrize("name", ["plan", "summary"])
def test_no_pod_of_a_step_is_made_with_a_parameter_that_is_not_accepted(name: str) -> None:
    patched = part(name)["podSpecPatch"]

    checks, end, pod = patched.partition("}}")
    for parameter, check in CHECKS.items():
        assert f"parameters['{parameter}'] matches `^({check.pattern})$` ? '' :" in checks
        assert f"sprig.fail('{parameter}: not accepted; write {check.wanted}')" in checks
    assert (checks[:3], end, pod[:14]) == ("{{=", "}}", '{"containers":')


def test_no_expression_about_a_parameter_is_outside_the_templates() -> None:
    """Argo tells nobody when one fails there: the workflow has no phase, for ever."""
    spec = template("backtest")["spec"]
    outside = json.dumps({key: spec[key] for key in spec.keys() - {"templates"}})

    assert REFERENCE.findall(outside) == [("", "run-id")] * 2


def test_secrets_are_named_and_never_written() -> None:
    for item in template("backtest")["spec"]["templates"]:
        for variable in item.get("container", {}).get("env", []):
            if variable["name"].startswith("AWS_"):
                assert variable["valueFrom"]["secretKeyRef"]["name"] == "s3-credentials"


def test_the_pod_that_builds_is_not_privileged() -> None:
    [build] = template("build-push-ghcr")["spec"]["templates"]
    security = build["container"]["securityContext"]
    assert security["privileged"] is False
    assert security["capabilities"] == {"add": ["SETUID", "SETGID"], "drop": ["ALL"]}
    assert template("build-push-ghcr")["spec"]["securityContext"]["runAsNonRoot"] is True


def test_two_runs_of_one_id_do_not_meet() -> None:
    assert template("backtest")["spec"]["synchronization"] == {
        "mutexes": [
            {
                "name": "backtest-{{=(workflow.parameters['run-id'] == '' ? workflow.name : "
                "workflow.parameters['run-id'])}}"
            }
        ]
    }


def test_what_a_pod_leaves_undone_is_tried_again_in_the_second_round_alone() -> None:
    first, second = part("batch"), part("again")
    assert "retryStrategy" not in first
    assert "['75', '143']" in second["retryStrategy"]["expression"]
    # Out of memory was tried with twice as much by then.
    # Killed is lost, unless for its memory: that was doubled already.
    killed = "exitCode == '137' && !(lastRetry.message matches 'OOMKilled|out of memory')"
    assert second["retryStrategy"]["expression"].count("137") == 1
    assert f"(lastRetry.{killed})" in second["retryStrategy"]["expression"]
    assert "asInt(workflow.parameters['memory-mib']) * 1" in first["podSpecPatch"]
    assert "asInt(workflow.parameters['memory-mib']) * 2" in second["podSpecPatch"]


@pytest.mark.parametrize("name", ["plan", "ask", "check", "again"])
def test_an_executor_told_to_end_before_it_began_is_lost_and_a_bad_experiment_is_not(
    name: str,
) -> None:
    # As the first process of a pod, it is not ended by a signal that it does not handle yet: Go
    # gives up with 2, and without a word.
    expression = part(name)["retryStrategy"]["expression"]
    [lost] = re.findall(r"lastRetry.message matches '([^']*pod deleted[^']*)'", expression)
    assert re.search(lost, "main: Error (exit code 2)")
    assert re.search(lost, "pod deleted")
    assert not re.search(lost, "main: Error (exit code 2): s3://bucket/x.json: no such object")
    assert not re.search(lost, "main: Error (exit code 3): the dataset is damaged")


def test_the_workflow_says_what_the_summary_says() -> None:
    """Where an expression decides against another try, Argo's message is that it did."""
    summary = part("summary")
    assert "expression" not in summary["retryStrategy"]
    # So it is tried again after an error alone, such as that of a pod without these outputs.
    assert summary["retryStrategy"]["retryPolicy"] == "OnError"
    assert list(outputs_of("summary")) == ["run_digest", "counts"]
    assert all("default" not in item["valueFrom"] for item in summary["outputs"]["parameters"])


def test_only_what_ran_out_of_memory_gets_more() -> None:
    ran_out = "lastRetry.exitCode == '137' && lastRetry.message matches 'OOMKilled|out of memory'"
    for name in ("plan", "ask", "check"):
        assert f"({ran_out}) ? 2 : 1" in part(name)["podSpecPatch"]
        assert f"({ran_out}) && asInt(retries) < 1" in part(name)["retryStrategy"]["expression"]


def test_a_dataset_is_made_by_the_steps_that_a_laptop_has_too() -> None:
    templates = {item["name"]: item for item in template("prepare")["spec"]["templates"]}
    groups = [step for [step] in templates["make"]["steps"]]
    assert [step["name"] for step in groups] == ["plan", "batch", "check", "again", "summary"]
    for name, source in (("batch", "plan"), ("again", "check")):
        [group] = [step for step in groups if step["name"] == name]
        count = f"{{{{steps.{source}.outputs.parameters.batches}}}}"
        assert group["withSequence"] == {"count": count}
        assert group["continueOn"] == {"error": True, "failed": True}
    for name, step in (("batch", "batch"), ("again", "batch"), ("summary", "summary")):
        container = templates[name]["container"]
        assert container["command"][-2:] == ["data", "part"]
        assert container["args"][0] == step
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_an_import_is_the_command_of_a_laptop_with_all_its_options_of_formats() -> None:
    spec = template("import")["spec"]
    [pod] = spec["templates"]
    assert pod["container"]["command"] == [
        *("python", "-m", "trading_runtime.cli.main", "data", "import")
    ]
    # As Argo fills them in: an option without a value is the address once more.
    given = {"files": "s3://raw/*.zip", "format": "stooq", "instrument": "A.X", "to": "s3://data/a"}
    given |= {"time-zone": "Europe/Berlin", "tick": "0.01"}
    words = [_filled(text, given) for text in pod["container"]["args"]]
    read = import_.make_context("import", words).params
    assert read["files"] == ("s3://raw/*.zip",)
    told = {key: read[key] for key in ("format_name", "instrument", "folder", "time_zone", "tick")}
    assert list(told.values()) == ["stooq", "A.X", "s3://data/a", "Europe/Berlin", "0.01"]
    assert {read[key] for key in ("bar", "symbol", "lot", "currency")} == {None}
    assert {ask for form in formats().values() for ask in form.asks} <= {
        item["name"].replace("-", "_") for item in spec["arguments"]["parameters"]
    }


def _filled(text: str, given: dict[str, str]) -> str:
    """Return an argument as a container gets it, by a reading of Argo's expressions of our own."""
    names = [one or other for one, other in REFERENCE.findall(text)]
    if " ? " not in text:
        return re.sub(r"\{\{.*\}\}", lambda _: given[names[0]], text) if names else text
    name, address = names[0], names[1]
    absent, present = re.findall(r"'(--[a-z-]+=)'", text)
    value = given.get(name)
    return f"{absent}{given[address]}" if value is None else f"{present}{value}"
