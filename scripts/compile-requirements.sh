#!/usr/bin/env bash
# Resolves the *.in files into requirements files: exact versions, with the hash of every file.
#
#   scripts/compile-requirements.sh                 keep the versions that are pinned, add what is new
#   scripts/compile-requirements.sh --upgrade       newest versions of everything
#   scripts/compile-requirements.sh --print-engine  print the engine's pin and where it comes from
#
# Any other option is handed to pip-compile.
set -euo pipefail
cd "$(dirname "$0")/.."

# .env may hold secrets and is never run: one line of it is read.
engine_version_in() {
    [[ -f $1 ]] || return 0
    sed -n -E "s/^[[:space:]]*(export[[:space:]]+)?NAUTILUS_TRADER_VERSION=[\"']?([^\"'#[:space:]]*).*/\2/p" "$1" | tail -n 1
}

source_file=.env
version=$(engine_version_in .env)
if [[ -z $version ]]; then
    source_file=.env.example
    version=$(engine_version_in .env.example)
fi
if [[ ! $version =~ ^[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?$ ]]; then
    echo "$source_file: NAUTILUS_TRADER_VERSION is '$version'; write one exact version, such as 2.0.0rc7" >&2
    exit 2
fi
if [[ ${1-} == --print-engine ]]; then
    echo "nautilus_trader==$version ($source_file)"
    exit 0
fi

python=${PYTHON:-.venv/bin/python}
if [[ ! -x $python ]]; then
    echo "$python is missing; run 'make environment' first" >&2
    exit 2
fi

# A folder of local wheels or a private index that this machine's pip is set to must leave no trace
# in files that every machine installs from.
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL
export NAUTILUS_TRADER_VERSION=$version

compile() {
    local name=$1
    shift
    local new
    new=$(mktemp "$name.XXXXXX")
    # Versions that are pinned now stay: pip-compile reads them from the file that it writes.
    if [[ -f $name.txt ]]; then cat "$name.txt" >"$new"; fi
    if ! "$python" -m piptools compile --quiet --no-config --strip-extras --allow-unsafe --generate-hashes \
        --no-emit-options --no-header --output-file "$new" "$@" "$name.in"; then
        rm -f "$new"
        return 1
    fi
    {
        echo "# Made by scripts/compile-requirements.sh from $name.in; do not edit."
        grep -v '^# Made by ' "$new"
    } >"$name.txt"
    rm -f "$new"
    echo "$name.txt: $(grep -c '==' "$name.txt") packages" >&2
}

compile requirements "$@"
compile requirements-build "$@"
compile requirements-search "$@"
compile requirements-terminal "$@"
compile requirements-data "$@"
compile requirements-drills "$@"
compile requirements-charts "$@"
compile requirements-mlflow "$@"
compile requirements-sbom "$@"
compile requirements-dev "$@"
compile requirements-docs "$@"
