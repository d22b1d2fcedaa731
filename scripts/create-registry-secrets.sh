#!/usr/bin/env bash
# Creates the secrets with which pods pull the image and builds push it.
#
#   GHCR_USERNAME=me GHCR_TOKEN=... scripts/create-registry-secrets.sh
#
# Settings are environment variables; .env.example lists them: KUBECTL, K8S_NAMESPACE,
# K8S_BUILD_NAMESPACE, GHCR_USERNAME, GHCR_TOKEN, REGISTRY_SERVERS. Safe to run again.
set -euo pipefail

namespace=${K8S_NAMESPACE:-backtests}
build_namespace=${K8S_BUILD_NAMESPACE:-image-builds}
read -ra kubectl <<<"${KUBECTL:-kubectl}"
read -ra servers <<<"${REGISTRY_SERVERS:-ghcr.io}"

if [[ -z ${GHCR_TOKEN-} ]]; then
    echo "create-registry-secrets.sh: GHCR_TOKEN is not set; make a token with the scope write:packages" >&2
    exit 2
fi

# The token goes through pipes only: an argument would show in the list of processes.
encoded=$(printf '%s:%s' "${GHCR_USERNAME:-token}" "$GHCR_TOKEN" | base64 | tr -d '\n')
entries=''
for server in "${servers[@]}"; do
    if [[ ! $server =~ ^[a-z0-9.-]+(:[0-9]+)?$ ]]; then
        echo "create-registry-secrets.sh: REGISTRY_SERVERS: '$server' is not a server such as ghcr.io" >&2
        exit 2
    fi
    entries+="${entries:+,}\"$server\":{\"auth\":\"$encoded\"}"
done
config=$(printf '{"auths":{%s}}' "$entries" | base64 | tr -d '\n')

secret() {
    printf '%s\n' "apiVersion: v1" "kind: Secret" "metadata: {name: $2, labels: {app.kubernetes.io/name: trading-runtime}}" \
        "type: kubernetes.io/dockerconfigjson" "data: {.dockerconfigjson: $config}" |
        "${kubectl[@]}" apply --server-side --force-conflicts --namespace "$1" --filename -
}

secret "$namespace" ghcr-pull
secret "$build_namespace" ghcr-push
