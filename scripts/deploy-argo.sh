#!/usr/bin/env bash
# Puts what experiments need into a cluster: namespaces, accounts, network policies, templates.
#
#   IMAGE=ghcr.io/owner/trading-runtime@sha256:... scripts/deploy-argo.sh
#
# Settings are environment variables; .env.example lists them: KUBECTL, K8S_NAMESPACE,
# K8S_BUILD_NAMESPACE, IMAGE, PARAMETERS, PARALLELISM, EGRESS, EGRESS_PORTS. Safe to run again: defaults
# of templates that were set before, here or by hand, stay as they are unless they are given again.
set -euo pipefail
cd "$(dirname "$0")/../argo"

namespace=${K8S_NAMESPACE:-backtests}
build_namespace=${K8S_BUILD_NAMESPACE:-image-builds}
image=${IMAGE-}
# Words: "microk8s kubectl", "kubectl --context production".
read -ra kubectl <<<"${KUBECTL:-kubectl}"
read -ra ports <<<"${EGRESS_PORTS-}"
read -ra egress <<<"${EGRESS-}"
parallelism=${PARALLELISM-}
# Pairs name=value. A value may contain spaces, as JSON does: the next pair begins at a name and '='.
parameters=()
rest=${PARAMETERS-}
while [[ $rest =~ ^(.*[^[:space:]])?[[:space:]]+([a-z][a-z-]*=.*)$ ]]; do
    rest=${BASH_REMATCH[1]}
    parameters=("${BASH_REMATCH[2]%"${BASH_REMATCH[2]##*[![:space:]]}"}" "${parameters[@]}")
done
if [[ $rest == *[![:space:]]* ]]; then parameters=("${rest%"${rest##*[![:space:]]}"}" "${parameters[@]}"); fi

fail() {
    echo "deploy-argo.sh: $1" >&2
    exit 2
}

name='^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
[[ $namespace =~ $name ]] || fail "K8S_NAMESPACE is '$namespace'; write a name such as backtests"
[[ $build_namespace =~ $name ]] ||
    fail "K8S_BUILD_NAMESPACE is '$build_namespace'; write a name such as image-builds"
[[ $namespace != "$build_namespace" ]] ||
    fail "K8S_NAMESPACE and K8S_BUILD_NAMESPACE are both '$namespace'; images are built in a namespace of their own"
[[ -z $image || $image =~ ^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$ ]] ||
    fail "IMAGE is '$image'; write it by digest: ghcr.io/owner/name@sha256:..."

[[ -z $parallelism || $parallelism =~ ^[1-9][0-9]{0,5}$ ]] ||
    fail "PARALLELISM is '$parallelism'; write how many pods of a run may work at once, such as 100"

for each in "${egress[@]}"; do
    [[ $each =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}(:[0-9]{1,5})?$ ]] ||
        fail "EGRESS: '$each' is no range of addresses; write 192.0.2.0/24, or 192.0.2.7/32:9000 with a port"
done

for each in "${parameters[@]}"; do
    while IFS=$'\t' read -r parameter pattern wanted; do
        [[ $parameter != "${each%%=*}" || ${each#*=} =~ ^($pattern)$ ]] ||
            fail "PARAMETERS: '$each' is not accepted; write $wanted"
    done <parameters.tsv
    class=${each#priority-class=}
    [[ -z $class || $each != priority-class=* ]] || "${kubectl[@]}" get priorityclass "$class" >/dev/null ||
        fail "PARAMETERS: '$each': the cluster has no such PriorityClass, or does not show it; create it first"
done

# What pods of work may reach is said once; deployed again without it, that stays.
if ((${#egress[@]} + ${#ports[@]} == 0)); then
    "${kubectl[@]}" get networkpolicy api-and-storage --namespace "$namespace" >/dev/null 2>&1 ||
        fail "EGRESS is not set: write where the storage is, such as 192.0.2.0/24 or 192.0.2.7/32:9000, and strategies reach nothing else; or EGRESS_PORTS=443 to let them reach every address"
fi

apply() { "${kubectl[@]}" apply --namespace "$1" --filename "$2"; }

create_namespace() {
    "${kubectl[@]}" patch --local --filename "$2" --type merge \
        --patch "{\"metadata\":{\"name\":\"$1\"}}" --output yaml |
        "${kubectl[@]}" apply --filename -
}

# Prints the place of a parameter in the list of a rendered template; nothing where it has none of that name.
place_of() {
    awk -v wanted="$2" '
        /^  arguments:/ { inside = 1; next } /^  [a-z]/ { inside = 0 }
        inside && $1 == "name:" || inside && $2 == "name:" { if ($NF == wanted) { print count; exit } count++ }
    ' count=0 "$1"
}

defaults='jsonpath={range .spec.arguments.parameters[*]}{.name}={.value}{"\n"}{end}'

deployed() {
    "${kubectl[@]}" get workflowtemplate "$1" --namespace "$namespace" --ignore-not-found --output "$2"
}

# Prints name=value for each default that is deployed, is not given again, and is not the file's own.
kept() {
    local name=$1 file=$2 own each given
    shift 2
    own=$("${kubectl[@]}" patch --local --filename "$file" --type merge --patch '{}' --output "$defaults")
    while IFS= read -r each; do
        [[ -n $(place_of "$file" "${each%%=*}") && $'\n'$own$'\n' != *$'\n'"$each"$'\n'* ]] || continue
        for given in "$@"; do [[ ${given%%=*} != "${each%%=*}" ]] || continue 2; done
        echo "$file: kept $each" >&2
        echo "$each"
    done < <(deployed "$name" "$defaults")
}

# Applies a template with defaults of parameters, given as name=value.
apply_template() {
    local name=$1 file=workflowtemplate-$1.yaml pods each settings
    shift
    settings=("$@")
    while IFS= read -r each; do settings+=("$each"); done < <(kept "$name" "$file" "$@")
    pods=${parallelism:-$(deployed "$name" 'jsonpath={.spec.parallelism}')}
    with_defaults "$file" "$pods" "${settings[@]}" |
        "${kubectl[@]}" apply --namespace "$namespace" --filename -
}

# Writes the number of pods at once, and defaults of parameters, given as name=value, into a template.
with_defaults() {
    local file=$1 pods=$2 patches='' index each value
    shift 2
    for each in "$@"; do
        index=$(place_of "$file" "${each%%=*}")
        [[ $each == *=* && -n $index ]] || fail "PARAMETERS: '$each' is not name=value of a parameter in argo/$file"
        value=${each#*=} value=${value//\\/\\\\} value=${value//\"/\\\"}
        patches+="${patches:+,}{\"op\":\"test\",\"path\":\"/spec/arguments/parameters/$index/name\",\"value\":\"${each%%=*}\"}"
        patches+=",{\"op\":\"add\",\"path\":\"/spec/arguments/parameters/$index/value\",\"value\":\"$value\"}"
    done
    if [[ -n $pods ]]; then
        patches+="${patches:+,}{\"op\":\"add\",\"path\":\"/spec/parallelism\",\"value\":$pods}"
    fi
    if [[ -z $patches ]]; then
        cat "$file"
    else
        "${kubectl[@]}" patch --local --filename "$file" --type json --patch "[$patches]" --output yaml
    fi
}

open_port() {
    "${kubectl[@]}" apply --namespace "$1" --filename - <<EOF
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: port-$2
  labels:
    app.kubernetes.io/name: trading-runtime
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: trading-runtime
  policyTypes: [Egress]
  egress:
    - ports:
        - {protocol: TCP, port: $2}
EOF
}

# Lets pods of work reach these ranges and the Kubernetes API, and nothing else: code of a strategy
# can send nothing to anybody.
only_egress() {
    local rules='' each range port
    for each in "${egress[@]}"; do
        range=${each%%:*} port=443
        [[ $each == *:* ]] && port=${each##*:}
        rules+=$'\n'"    - {to: [{ipBlock: {cidr: $range}}], ports: [{protocol: TCP, port: $port}]}"
    done
    # Its address inside the cluster, and those behind it: networks differ in which of them counts.
    for each in $("${kubectl[@]}" get service kubernetes --namespace default --output 'jsonpath={.spec.clusterIP}') \
        $("${kubectl[@]}" get endpoints kubernetes --namespace default --output 'jsonpath={.subsets[*].addresses[*].ip}'); do
        rules+=$'\n'"    - {to: [{ipBlock: {cidr: $each/32}}], ports: [{protocol: TCP, port: 443}, {protocol: TCP, port: 6443}, {protocol: TCP, port: 16443}]}"
    done
    "${kubectl[@]}" apply --namespace "$1" --filename - <<EOF
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api-and-storage
  labels:
    app.kubernetes.io/name: trading-runtime
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: trading-runtime
  policyTypes: [Egress]
  egress:$rules
EOF
}

create_namespace "$namespace" manifests/namespace.yaml
create_namespace "$build_namespace" manifests/namespace-builds.yaml
apply "$namespace" manifests/accounts.yaml
apply "$build_namespace" manifests/accounts-builds.yaml
for each in "$namespace" "$build_namespace"; do
    apply "$each" manifests/network.yaml
    # Builds fetch sources and packages from anywhere.
    if [[ $each == "$build_namespace" || ${#egress[@]} == 0 && ${#ports[@]} != 0 ]]; then
        apply "$each" manifests/network-any.yaml
    fi
    for port in "${ports[@]}"; do
        [[ $port =~ ^[0-9]{1,5}$ ]] || fail "EGRESS_PORTS: '$port' is not a port"
        open_port "$each" "$port"
    done
done
if ((${#egress[@]})); then only_egress "$namespace"; fi

if [[ -n $image ]]; then parameters+=("image=$image"); fi
apply_template backtest "${parameters[@]}"
# What is said of pods holds for all; how a backtest is divided means nothing to the others.
for template in prepare import; do
    common=()
    for each in "${parameters[@]}"; do
        if [[ -n $(place_of "workflowtemplate-$template.yaml" "${each%%=*}") ]]; then common+=("$each"); fi
    done
    apply_template "$template" "${common[@]}"
done
apply "$build_namespace" workflowtemplate-build-push-ghcr.yaml
