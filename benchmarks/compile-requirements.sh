#!/usr/bin/env bash
# Resolves the peers' *.in files into requirements files: exact versions, with the hash of every file.
#
#   benchmarks/compile-requirements.sh              keep the versions that are pinned, add what is new
#   benchmarks/compile-requirements.sh --upgrade    newest versions of everything that is not pinned
#
# Any other option is passed to pip-compile.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-../.venv/bin/python}
if [[ ! -x $python ]]; then
    echo "$python is missing; run 'make environment-dev' first" >&2
    exit 2
fi

# A local wheel folder or private index in this machine's pip settings must leave no trace in files
# that every machine installs from.
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL

for name in requirements-nautilus-1 requirements-backtesting; do
    new=$(mktemp "$name.XXXXXX")
    # Currently pinned versions stay: pip-compile reads them from the file that it writes.
    if [[ -f $name.txt ]]; then cat "$name.txt" >"$new"; fi
    if ! "$python" -m piptools compile --quiet --no-config --strip-extras --allow-unsafe --generate-hashes \
        --no-emit-options --no-header --output-file "$new" "$@" "$name.in"; then
        rm -f "$new"
        exit 1
    fi
    {
        echo "# Made by benchmarks/compile-requirements.sh from $name.in; do not edit."
        grep -v '^# Made by ' "$new"
    } >"$name.txt"
    rm -f "$new"
    echo "$name.txt: $(grep -c '==' "$name.txt") packages" >&2
done
