"""The WorkflowTemplate `build-push-ghcr`: clone, build without root, push, report the digest."""

from __future__ import annotations

from pathlib import Path

from hera.workflows import Container, Parameter, WorkflowTemplate, models

from argo.expressions import argument, json_text, simple
from argo.names import (
    BUILD_TEMPLATE,
    BUILDER,
    BUILDER_EXECUTOR,
    BUILDKIT_CONFIGURATION,
    GIT_SECRET,
    PUSH_SECRET,
)
from argo.pods import executor_patch, patch
from trading_runtime.argo.cluster_names import LABELS
from trading_runtime.argo.cluster_objects import RESTRICTED, pod_security

SCRIPT = Path(__file__).resolve().parent / "build-image.sh"
USER = 1000
"""The user of BuildKit's image, which defines its subordinate ids."""

PARAMETERS = (
    Parameter(name="repository", description="A git URL"),
    Parameter(name="revision", value="main", description="A commit, branch or tag"),
    Parameter(name="image", description="The name that pods pull: ghcr.io/owner/name"),
    Parameter(
        name="push-to",
        value="",
        description="The name to push to, where it is another: a registry in the cluster",
    ),
    Parameter(
        name="runtime-image",
        value="",
        description="Of a project of your own: the image that its Dockerfile begins FROM",
    ),
    Parameter(name="compression", value="zstd", description="Of layers: zstd or gzip"),
    Parameter(
        name="python-image",
        value="",
        description="A base image other than the Dockerfile's: name@sha256:...",
    ),
    Parameter(
        name="buildkit-image",
        value="moby/buildkit:v0.34.2-rootless",
        description="BuildKit; its digest may be given as well",
    ),
    Parameter(name="cpu", value="1", description="Request"),
    Parameter(name="memory", value="2Gi", description="Request"),
)


def build_template() -> WorkflowTemplate:
    """Return the template; see argo/manifests/namespace-builds.yaml for where it may run."""
    return WorkflowTemplate(
        name=BUILD_TEMPLATE,
        labels=LABELS,
        annotations={
            "workflows.argoproj.io/title": "Build and push the image",
            "workflows.argoproj.io/description": "Of a git revision; tells the image's digest.",
        },
        workflow_metadata=models.WorkflowMetadata(labels=LABELS),
        pod_metadata=models.Metadata(labels=LABELS),
        entrypoint="build",
        arguments=list(PARAMETERS),
        templates=[_build()],
        active_deadline_seconds=3_600,
        ttl_strategy=models.TTLStrategy(
            seconds_after_success=86_400, seconds_after_failure=7 * 86_400
        ),
        pod_gc=models.PodGC(strategy="OnPodSuccess", delete_delay_duration="10s"),
        service_account_name=BUILDER,
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=BUILDER_EXECUTOR),
        security_context=pod_security(USER),
        pod_spec_patch=patch(executor_patch(RESTRICTED), {}),
        volumes=[
            models.Volume(name="work", empty_dir=models.EmptyDirVolumeSource()),
            models.Volume(name="out", empty_dir=models.EmptyDirVolumeSource()),
            models.Volume(name="buildkit", empty_dir=models.EmptyDirVolumeSource()),
            models.Volume(
                name="buildkit-configuration",
                config_map=models.ConfigMapVolumeSource(name=BUILDKIT_CONFIGURATION, optional=True),
            ),
            models.Volume(
                name="push-credentials",
                secret=models.SecretVolumeSource(
                    secret_name=PUSH_SECRET,
                    items=[models.KeyToPath(key=".dockerconfigjson", path="config.json")],
                ),
            ),
            models.Volume(
                name="git-credentials",
                secret=models.SecretVolumeSource(secret_name=GIT_SECRET, optional=True),
            ),
        ],
    )


def _build() -> Container:
    variables = {"REPOSITORY": "repository", "REVISION": "revision", "IMAGE": "image"}
    variables |= {"PUSH_TO": "push-to", "COMPRESSION": "compression"}
    variables |= {"PYTHON_IMAGE": "python-image", "RUNTIME_IMAGE": "runtime-image"}
    mounts = {
        "work": "/build",
        "out": "/out",
        "buildkit": "/home/user/.local/share/buildkit",
        "buildkit-configuration": "/home/user/.config/buildkit",
        "push-credentials": "/credentials/registry",
        "git-credentials": "/credentials/git",
    }
    return Container(
        name="build",
        image=simple("buildkit-image"),
        command=["sh", "-c"],
        args=[SCRIPT.read_text(encoding="utf-8")],
        env=[
            *(models.EnvVar(name=name, value=argument(key)) for name, key in variables.items()),
            models.EnvVar(name="BUILDKITD_FLAGS", value="--oci-worker-no-process-sandbox"),
            models.EnvVar(name="DOCKER_CONFIG", value="/credentials/registry"),
        ],
        outputs=[
            Parameter(name=name, global_name=name, value_from=models.ValueFrom(path=f"/out/{name}"))
            for name in ("commit", "digest", "image")
        ],
        # The default profiles refuse a user namespace and its mounts; nothing else is allowed in
        # addition.
        security_context=models.SecurityContext(
            privileged=False,
            seccomp_profile=models.SeccompProfile(type="Unconfined"),
            app_armor_profile=models.AppArmorProfile(type="Unconfined"),
            capabilities=models.Capabilities(add=["SETUID", "SETGID"], drop=["ALL"]),
        ),
        pod_spec_patch=patch(
            {
                "containers": [
                    {
                        "name": "main",
                        "resources": {"requests": {"cpu": "@cpu", "memory": "@memory"}},
                    }
                ]
            },
            {"@cpu": json_text("cpu"), "@memory": json_text("memory")},
        ),
        volume_mounts=[
            models.VolumeMount(name=name, mount_path=path) for name, path in mounts.items()
        ],
    )
