"""Names of the objects on a cluster that templates, manifests and deployments share."""

from __future__ import annotations

ACCOUNT = "backtest"
"""The pods' service account: has no rights, and its token is not mounted."""
PULL_SECRET = "ghcr-pull"  # noqa: S105 - the name of a secret
S3_SECRET = "s3-credentials"  # noqa: S105 - the name of a secret
S3_KEYS = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""The keys of that secret, each optional: pods that have a role of their own need none."""

LABELS = {"app.kubernetes.io/name": "trading-runtime"}
COMPONENT = "app.kubernetes.io/component"
NAME = "app.kubernetes.io/instance"


def labels_of(component: str, name: str) -> dict[str, str]:
    """Return the labels of an object by which ``kubectl`` finds it again."""
    return {**LABELS, COMPONENT: component, NAME: name}
