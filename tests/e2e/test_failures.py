"""What cannot be computed ends as `Failed`, and `argo get` says which and why."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import PermissionDeniedError
from obstore.store import S3Store

from tests.e2e.conftest import submit_build
from tests.e2e.site import registry_secret

if TYPE_CHECKING:
    from tests.e2e.servers import GitServer
    from tests.e2e.site import Site
    from tests.e2e.workflows import Namespace, Workflow

pytestmark = pytest.mark.usefixtures("image")
WITHOUT_DIGEST = "0" * 64


def test_a_strategy_that_raises_in_one_point_fails_that_point_alone(site: Site, image: str) -> None:
    experiment = site.awkward("raises", parameters={"every": [20, 30], "raises_at": [0, 7]})
    found = site.backtests.ended(experiment.send("--image", image)["workflow"])
    assert found.phase == "Failed"
    # Three days, four points, of which two raise.
    assert "6 of 12 tasks are ok, 6 strategy" in found.message
    assert "the 7th bar is awkward" in found.message
    assert found.message in found.shown
    counts = json.loads(found.outputs["counts"])
    assert (counts["ok"], counts["failed_by_kind"]) == (6, {"strategy": 6})
    name = found.content["spec"]["arguments"]["parameters"]
    run_id = {item["name"]: item["value"] for item in name}["run-id"]
    assert b"the 7th bar is awkward" in site.run_file(run_id, "report.md")
    assert found.outputs["run_digest"] == experiment.run_on_laptop(exit_code=5)["run_digest"]


def test_a_bad_experiment_ends_in_plan_with_its_message(site: Site) -> None:
    bad = site.experiment("bad", partitions={"by": "fortnight"})
    found = site.backtests.ended(bad.submit())
    [plan] = found.pods("plan")
    assert found.phase == "Failed"
    assert found.pods("batch") == []
    assert plan["outputs"]["exitCode"] == "2"
    assert "fortnight" in plan["message"]
    # The summary repeats it, so that it is the workflow's.
    assert found.message == plan["message"]
    assert f"Message:             {plan['message'][:60]}" in found.shown


AWKWARD = """it's "x" $(touch /tmp/a) $$HOME $(AWS_SECRET_ACCESS_KEY) `id`; ünïcode \\ --debug
second line"""


def test_what_stands_in_a_parameter_does_no_harm(site: Site) -> None:
    address = f"s3://{site.settings.bucket}/{AWKWARD}.json"
    by_name = site.backtests.submit(experiment=address, run_id="of-awkward-name")
    by_run_id = site.backtests.submit(experiment=site.experiment("plain").put(), run_id=AWKWARD)
    found = site.backtests.ended(by_name)
    [plan] = found.pods("plan")
    assert plan["outputs"]["exitCode"] in {"2", "3", "8"}
    assert "$(AWS_SECRET_ACCESS_KEY)" in plan["message"]
    assert site.settings.secret_key not in found.shown
    ended = site.backtests.ended(by_run_id)
    assert ended.phase in {"Failed", "Error"}
    assert ended.pods("batch") == []


def test_a_missing_bucket_ends_in_plan(site: Site) -> None:
    found = site.backtests.ended(
        site.backtests.submit(experiment="s3://there-is-no-such-bucket/x.json")
    )
    assert found.phase == "Failed"
    assert found.pods("batch") == []
    assert "there-is-no-such-bucket" in found.shown


def test_a_mutable_tag_ends_in_plan(site: Site, build: Workflow) -> None:
    # The tag is there and pods can run it, but what it stands for may change.
    tag = f"{site.settings.image}:{build.outputs['commit']}"
    found = site.backtests.ended(site.experiment("tagged").submit(image=tag))
    [plan] = found.pods("plan")
    assert found.pods("batch") == []
    assert plan["outputs"]["exitCode"] == "2"
    assert tag in plan["message"]


def test_without_a_pull_secret_no_pod_starts_and_the_workflow_ends(
    site: Site, strangers: Namespace
) -> None:
    # An image that no node has yet: what is there already is not asked for again.
    unknown = f"{site.settings.image}@sha256:{WITHOUT_DIGEST}"
    name = strangers.submit(
        experiment=site.experiment("unpulled").put(), image=unknown, step_deadline_seconds="40"
    )
    strangers.until(name, lambda now: "ImagePull" in now.messages)
    found = strangers.ended(name)
    assert found.phase == "Failed"
    assert found.pods("batch") == []


def test_a_wrong_key_is_said_to_be_one(site: Site, strangers: Namespace, image: str) -> None:
    wrong = S3Store(
        site.settings.bucket,
        endpoint=site.settings.endpoint,
        access_key_id=site.settings.access_key,
        secret_access_key=site.settings.secret_key[::-1],
        client_options={"allow_http": True},
    )
    address = site.experiment("locked").put()
    try:
        wrong.get(f"{site.name}/locked.json")
    except PermissionDeniedError:
        pass
    else:
        pytest.skip("this S3 server takes any key")
    secret = registry_secret(site.settings)
    site.script("create-registry-secrets.sh", K8S_NAMESPACE=strangers.name, **secret)
    found = strangers.ended(strangers.submit(experiment=address, image=image))
    [plan] = found.pods("plan")
    assert found.phase == "Failed"
    assert plan["outputs"]["exitCode"] == "8"
    assert "access" in plan["message"].lower()


def test_an_unknown_revision_is_named(site: Site, git_server: GitServer) -> None:
    found = site.builds.ended(submit_build(site, git_server.url, "no-such-branch"))
    assert found.phase == "Failed"
    assert "'no-such-branch' is no commit, branch or tag" in found.message
    assert found.message in found.shown


def test_a_crafted_archive_is_refused(site: Site) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("awkward.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/proc/self/environ"
        archive.addfile(link)
    content = stream.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    site.storage.write(f"results/code/{sha256}.tar", content)
    found = site.backtests.ended(site.experiment("crafted").submit(code=sha256))
    [plan] = found.pods("plan")
    assert plan["outputs"]["exitCode"] in {"2", "3"}
    assert "'awkward.py' is a link, device or folder, and no regular file" in plan["message"]
