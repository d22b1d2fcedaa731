#!/usr/bin/env bash
# Puts act into .tools/bin: it runs GitHub's workflows on this machine, for the end-to-end test that
# deploys by one. Go builds it; its checksum database vouches for the source.
#
#   scripts/act.sh            exit 0 when act is on the PATH or in .tools/bin
#
# Where there is no Go, or no source, it says so and exits 3; the test is then skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

version=v0.2.80

command -v act >/dev/null && exit 0
[[ -x .tools/bin/act ]] && exit 0
if ! command -v go >/dev/null; then
    echo "act.sh: no go here; install act to run the workflow that deploys" >&2
    exit 3
fi
mkdir -p .tools/bin
if ! GOBIN=$PWD/.tools/bin go install "github.com/nektos/act@$version"; then
    echo "act.sh: act $version could not be built" >&2
    exit 3
fi
