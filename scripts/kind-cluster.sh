#!/usr/bin/env bash
# Makes a kind cluster with Argo Workflows, a registry with a password and an S3 server, for the
# end-to-end tests, and prints the settings that scripts/e2e.sh reads.
#
#   scripts/kind-cluster.sh >settings.env
#
# Needs docker, kind, kubectl, curl and perl, and .venv (for the S3 server). Meant for hosted CI: what
# it starts is left to the machine's end.
set -euo pipefail
cd "$(dirname "$0")/.."

argo_version=${ARGO_VERSION:-v4.0.2}
registry=kind-registry:5000
folder=$(mktemp -d)
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

{
    cat >"$folder/kind.yaml" <<'EOF'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
EOF
    kind create cluster --name e2e --config "$folder/kind.yaml" --kubeconfig "$folder/kubeconfig" --wait 120s
    export KUBECONFIG=$folder/kubeconfig

    mkdir "$folder/auth"
    # The registry reads bcrypt alone; a password that is random needs no salt.
    perl -e 'print "robot:", crypt($ARGV[0], q($2b$05$) . "." x 22), "\n"' "$password" >"$folder/auth/htpasswd"
    docker run --detach --name kind-registry --network kind --volume "$folder/auth:/auth:ro" \
        --env REGISTRY_AUTH=htpasswd --env REGISTRY_AUTH_HTPASSWD_REALM=e2e \
        --env REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd \
        registry:2@sha256:a3d8aaa63ed8681a604f1dea0aa03f100d5895b6a58ace528858a7b332415373
    for node in $(kind get nodes --name e2e); do
        docker exec "$node" mkdir -p "/etc/containerd/certs.d/$registry"
        docker exec --interactive "$node" tee "/etc/containerd/certs.d/$registry/hosts.toml" <<EOF
[host."http://$registry"]
EOF
    done

    host=$(docker network inspect kind --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' | tr ' ' '\n' | grep -m1 '\.')
    nohup .venv/bin/moto_server --host "$host" --port 7070 >"$folder/s3.log" 2>&1 &
    for _ in {1..100}; do
        if curl --silent --request PUT "http://$host:7070/research" &&
            curl --silent --request PUT "http://$host:7070/argo-artifacts"; then break; fi
        sleep 0.2
    done

    release=https://github.com/argoproj/argo-workflows/releases/download/$argo_version
    mkdir "$folder/bin"
    (
        cd "$folder"
        for name in argo-linux-amd64.gz argo-workflows-cli-checksums.txt; do
            curl --silent --show-error --fail --location --remote-name "$release/$name"
        done
        grep 'argo-linux-amd64\.gz$' argo-workflows-cli-checksums.txt | sha256sum --check --quiet --strict
        gunzip <argo-linux-amd64.gz >bin/argo
    )
    chmod +x "$folder/bin/argo"
    kubectl create namespace argo
    kubectl apply --server-side --namespace argo --filename "$release/install.yaml"
    kubectl create --namespace argo configmap workflow-controller-configmap --dry-run=client --output yaml \
        --from-literal=artifactRepository="s3: {endpoint: '$host:7070', bucket: argo-artifacts, insecure: true, accessKeySecret: {name: s3-credentials, key: AWS_ACCESS_KEY_ID}, secretKeySecret: {name: s3-credentials, key: AWS_SECRET_ACCESS_KEY}}" |
        kubectl apply --server-side --force-conflicts --filename -
    # Argo looks at a workflow again after so long; with its default of 10 s short steps wait most.
    kubectl set env --namespace argo deployment/workflow-controller DEFAULT_REQUEUE_TIME=2s
    kubectl rollout restart --namespace argo deployment/workflow-controller
    kubectl rollout status --namespace argo deployment/workflow-controller --timeout 180s
} >&2

cat <<EOF
KUBECONFIG=$folder/kubeconfig
AWS_ENDPOINT_URL=http://$host:7070
AWS_ACCESS_KEY_ID=e2e
AWS_SECRET_ACCESS_KEY=e2e-secret
AWS_DEFAULT_REGION=us-east-1
E2E_IMAGE=$registry/e2e/trading-runtime
E2E_PLAIN_REGISTRIES=$registry
E2E_HOST=$host
E2E_RESTART_CONTROLLER=kubectl rollout restart --namespace argo deployment/workflow-controller
REGISTRY_USER=robot
REGISTRY_PASSWORD=$password
PATH=$folder/bin:$PATH
EOF
