"""Names of the objects that only templates and manifests share."""

from __future__ import annotations

BACKTEST_TEMPLATE = "backtest"
PREPARE_TEMPLATE = "prepare"
IMPORT_TEMPLATE = "import"
BUILD_TEMPLATE = "build-push-ghcr"

EXECUTOR = "backtest-executor"
"""The account of Argo's own container beside ours: reports outputs, and nothing else."""

BUILDER = "image-builder"
BUILDER_EXECUTOR = "image-builder-executor"
PUSH_SECRET = "ghcr-push"  # noqa: S105 - the name of a secret
GIT_SECRET = "git-credentials"  # noqa: S105 - the name of a secret
"""Optional: key `credentials`, in the form of git's own credential store."""
BUILDKIT_CONFIGURATION = "buildkit-configuration"
"""An optional ConfigMap with ``buildkitd.toml``: mirrors and registries without TLS."""
