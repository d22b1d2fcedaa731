#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster, S3 and registry that the environment names.
#
#   scripts/e2e.sh              all of them
#   scripts/e2e.sh tests/e2e/test_faults.py -k memory
#   scripts/e2e.sh -n 0         one after the other
#   E2E_STRICT_SPEED=1 scripts/e2e.sh tests/e2e/test_speed.py    where nothing else runs on the cluster
#
# .env.example lists the settings; what is missing is said. `docs/cluster.md` tells how to get a cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for name in KUBECONFIG AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY E2E_IMAGE REGISTRY_USER \
    REGISTRY_PASSWORD E2E_HOST; do
    if [[ -z ${!name-} ]]; then missing+=("$name"); fi
done
if [[ ${#missing[@]} -gt 0 ]]; then
    echo "e2e.sh: not in the environment: ${missing[*]}; .env.example says what they are" >&2
    exit 2
fi
for command in kubectl argo git; do
    if ! command -v "$command" >/dev/null; then
        echo "e2e.sh: $command is not on the PATH" >&2
        exit 2
    fi
done

paths=(tests/cluster tests/e2e)
if [[ ${1-} == tests/* ]]; then paths=(); fi
# Most tests wait for the cluster most of the time. Each process has namespaces of its own.
# They have a cache of their own: other tests may run at the same time.
E2E=1 exec .venv/bin/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations=0 --durations-min=1 \
    -o cache_dir=.pytest_cache/e2e "${paths[@]}" "$@"
