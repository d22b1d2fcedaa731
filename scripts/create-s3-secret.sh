#!/usr/bin/env bash
# Creates the secret with which pods read and write S3. Not needed where pods have a role of their own.
#
#   scripts/create-s3-secret.sh
#
# Takes what the AWS tools take: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL,
# AWS_DEFAULT_REGION; besides, KUBECTL and K8S_NAMESPACE. Safe to run again.
set -euo pipefail

namespace=${K8S_NAMESPACE:-backtests}
read -ra kubectl <<<"${KUBECTL:-kubectl}"

for key in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    if [[ -z ${!key-} ]]; then
        echo "create-s3-secret.sh: $key is not set" >&2
        exit 2
    fi
done

{
    printf '%s\n' "apiVersion: v1" "kind: Secret" \
        "metadata: {name: s3-credentials, labels: {app.kubernetes.io/name: trading-runtime}}" "data:"
    for key in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL AWS_DEFAULT_REGION; do
        if [[ -n ${!key-} ]]; then
            # Through a pipe: an argument would show in the list of processes.
            printf '  %s: %s\n' "$key" "$(printf '%s' "${!key}" | base64 | tr -d '\n')"
        fi
    done
} | "${kubectl[@]}" apply --server-side --force-conflicts --namespace "$namespace" --filename -
