#!/usr/bin/env bash
# What CI runs: lint, layout of the code, types, shell scripts, workflows, tests.
#
#   scripts/check.sh              everything
#   scripts/check.sh --no-tests   all but the tests, for a caller that runs them itself
#
# Every check runs, also after one has failed; the exit code is 1 when any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

if [[ $# -gt 1 || ($# -eq 1 && $1 != --no-tests) ]]; then
    echo "check.sh: '$*' is not known; the only option is --no-tests" >&2
    exit 2
fi
scripts/environment.sh dev || exit

failed=()
check() {
    local name=$1
    shift
    echo "== $name" >&2
    "$@" || failed+=("$name")
}

check lint .venv/bin/ruff check .
check layout .venv/bin/ruff format --check .
check types .venv/bin/python -m mypy
check "shell scripts" .venv/bin/shellcheck scripts/*.sh .ci/run
check workflows .venv/bin/zizmor --offline --quiet --persona pedantic .github/workflows
if [[ ${1-} != --no-tests ]]; then
    check tests .venv/bin/python -m pytest -n auto
fi

if [[ ${#failed[@]} -gt 0 ]]; then
    printf 'check.sh: failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
echo "check.sh: all good" >&2
