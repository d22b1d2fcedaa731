#!/usr/bin/env bash
# Makes .venv what the requirements files say; does nothing when it already is.
#
#   scripts/environment.sh        what a run needs
#   scripts/environment.sh dev    that, and what tests and checks need
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
if [[ $kind != run && $kind != dev ]]; then
    echo "environment.sh: '$kind' is not known; say 'run' or 'dev'" >&2
    exit 2
fi

# Each stamp holds the digest of what its step was made from. The folder's path counts: an
# environment that was moved or copied points at the place where it was made.
sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
digest_of() { { pwd -P && cat -- "$@"; } | sha256; }
is_current() { [[ -f .venv/$1.stamp && $(<".venv/$1.stamp") == "$2" ]]; }

run_digest=$(digest_of requirements.txt requirements-build.txt)
project_digest=$(digest_of pyproject.toml)
dev_digest=$(digest_of requirements-dev.txt requirements-search.txt requirements-data.txt \
    requirements-drills.txt requirements-charts.txt requirements-docs.txt requirements-terminal.txt \
    requirements-mlflow.txt)

install() {
    # Only what was hashed, and only wheels: nothing is compiled and no package's set-up code runs.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: "$@"
}

if ! is_current run "$run_digest" || [[ ! -x .venv/bin/python ]]; then
    python=$(scripts/find-python.sh)
    echo "making .venv with $("$python" --version), which takes a minute or two ..." >&2
    rm -rf .venv
    "$python" -m venv .venv
    install -r requirements.txt -r requirements-build.txt
    echo "$run_digest" >.venv/run.stamp
fi

if ! is_current project "$project_digest"; then
    # Editable, with the build tool that was hashed above: nothing is fetched.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --no-index --no-deps --no-build-isolation --editable .
    echo "$project_digest" >.venv/project.stamp
fi

if [[ $kind == dev ]] && ! is_current dev "$dev_digest"; then
    echo "adding what tests and checks need ..." >&2
    install -r requirements.txt -r requirements-search.txt -r requirements-data.txt \
        -r requirements-drills.txt -r requirements-charts.txt -r requirements-docs.txt \
        -r requirements-terminal.txt -r requirements-mlflow.txt -r requirements-dev.txt
    echo "$dev_digest" >.venv/dev.stamp
fi
