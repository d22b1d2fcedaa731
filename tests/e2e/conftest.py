"""A site for the tests of each process: namespaces and data in S3; one image for all of them."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.e2e.kept import Kept
from tests.e2e.servers import GitServer, StorageProxy
from tests.e2e.settings import Settings, missing
from tests.e2e.site import Site, buildkit_configuration, registry_secret
from tests.e2e.workflows import Namespace, Workflow, run
from tests.s3.test_runs_in_s3 import upload
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parent
BUILD_SECONDS = 1_500


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of all processes that these tests run in."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


@pytest.fixture(autouse=True)
def _beside_others_or_alone(request: pytest.FixtureRequest, common: Path) -> Iterator[None]:
    """Let a test that measures wait for those of other processes, and hold them up meanwhile."""
    alone = request.node.get_closest_marker("alone_on_the_cluster")
    with (common / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="session")
def settings() -> Settings:
    """What the environment says; without it there is nothing to test on."""
    if os.environ.get("E2E") != "1":
        pytest.skip("runs on a cluster: make e2e")
    if lacking := missing():
        pytest.fail("not in the environment: " + ", ".join(lacking))
    return Settings.from_environment()


@pytest.fixture(scope="session")
def storage_proxy(settings: Settings) -> Iterator[StorageProxy]:
    """The way by which pods reach S3."""
    with StorageProxy(settings.host, settings.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def git_server(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """The project as a git repository that pods can clone."""
    with GitServer(settings.host, tmp_path_factory.mktemp("git")) as server:
        yield server


@pytest.fixture(scope="session")
def egress_ports(settings: Settings, storage_proxy: StorageProxy, git_server: GitServer) -> str:
    """The ports that pods and builds reach, in words."""
    addresses = [storage_proxy.endpoint, settings.endpoint, git_server.url]
    ports = {urlsplit(address).port for address in addresses}
    ports |= {urlsplit(f"//{name}").port for name in settings.plain_registries}
    return " ".join(str(port) for port in sorted(filter(None, ports)))


@pytest.fixture(scope="session")
def site(
    settings: Settings,
    storage_proxy: StorageProxy,
    egress_ports: str,
    small_dataset: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Namespaces that the project's own scripts made, and the dataset in S3; removed in the end."""
    name = f"e2e-{secrets.token_hex(3)}"
    site = Site(settings, name, tmp_path_factory.mktemp("site"), small_dataset)
    upload(small_dataset, f"{site.place}/data")
    namespaces = [site.backtests, site.builds, site.strangers]
    try:
        site.script("deploy-argo.sh", EGRESS_PORTS=egress_ports)
        site.script("create-registry-secrets.sh", **registry_secret(settings))
        site.script("create-s3-secret.sh", AWS_ENDPOINT_URL=storage_proxy.endpoint)
        site.builds.kubectl("apply", "-f", "-", given=buildkit_configuration(settings))
        yield site
    finally:
        if not os.environ.get("E2E_KEEP"):
            for namespace in namespaces:
                for folder in map(S3Folder, namespace.artifacts()):
                    folder.remove_all(list(folder.sizes()))
            names = [namespace.name for namespace in namespaces]
            run("kubectl", "delete", "namespace", "--ignore-not-found", *names, timeout=300)
            site.storage.remove_all(list(site.storage.sizes()))


@pytest.fixture(scope="session")
def strangers(site: Site, storage_proxy: StorageProxy, egress_ports: str) -> Namespace:
    """A namespace where a pull secret is missing, and the key for S3 is a wrong one."""
    there = {"K8S_NAMESPACE": site.strangers.name}
    site.script("deploy-argo.sh", EGRESS_PORTS=egress_ports, **there)
    wrong = {"AWS_ENDPOINT_URL": storage_proxy.endpoint, "AWS_SECRET_ACCESS_KEY": "not-the-key"}
    site.script("create-s3-secret.sh", **there, **wrong)
    return site.strangers


@pytest.fixture(scope="session")
def build(site: Site, git_server: GitServer, common: Path) -> Workflow:
    """The workflow that built the image of all processes, from the git repository."""
    if os.environ.get("E2E_BUILT"):
        pytest.skip("E2E_BUILT names an image; nothing is built")
    told = common / "build.json"
    with (common / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            name = submit_build(site, git_server.url)
            told.write_text(json.dumps(site.builds.succeeded(name, BUILD_SECONDS).content))
    return Workflow(json.loads(told.read_text()))


@pytest.fixture(scope="session")
def image(site: Site, request: pytest.FixtureRequest) -> str:
    """The image by digest; it is the default of the deployed template."""
    built = os.environ.get("E2E_BUILT")
    if not built:
        workflow: Workflow = request.getfixturevalue("build")
        built = workflow.outputs["image"]
    site.script("deploy-argo.sh", IMAGE=built)
    return built


@pytest.fixture
def kept(
    site: Site, image: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Kept]]:
    """Make deployments with names of their own; they are removed in the end."""
    made: list[Kept] = []

    def make() -> Kept:
        number = abs(hash(request.node.name)) % 10_000
        made.append(Kept(site, image, tmp_path, f"kept-{number}-{len(made)}"))
        return made[-1]

    yield make
    for each in made:
        each.remove()


def submit_build(
    site: Site, repository: str, revision: str = "main", name: str = "", **given: str
) -> str:
    """Submit a build of a repository; return the workflow's name.

    The image is named as the runtime's, with ``name`` behind it.
    """
    return site.builds.submit(
        "build-push-ghcr",
        repository=repository,
        revision=revision,
        image=site.settings.image + name,
        push_to=site.settings.push_to + name,
        python_image=site.settings.python_image,
        cpu="100m",
        **given,
    )
