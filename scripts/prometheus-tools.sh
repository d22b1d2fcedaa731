#!/usr/bin/env bash
# Puts promtool, prometheus and prometheus-pushgateway into .tools/bin, for the tests of alerts and
# dashboards. Debian's packages are unpacked there: nothing is installed and no service is started.
#
#   scripts/prometheus-tools.sh            exit 0 when all three are on the PATH or in .tools/bin
#
# Where there is no apt-get, or no package, it says so and exits 3; the tests then pass over what
# needs them.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

programs=(promtool prometheus prometheus-pushgateway)
have() { command -v "$1" >/dev/null || [[ -x .tools/bin/$1 ]]; }
have_all() { for program in "${programs[@]}"; do have "$program" || return; done; }

have_all && exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "prometheus-tools.sh: no apt-get here; install ${programs[*]} to test alerts and dashboards" >&2
    exit 3
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Root hands downloads to the user _apt, who may not look into a private folder.
chmod 755 "$scratch"
fetch() { (cd "$scratch" && apt-get download -qq prometheus prometheus-pushgateway >/dev/null 2>&1); }
if ! fetch; then
    # A fresh image has no lists of packages; only root may fetch them.
    apt-get update -qq >/dev/null 2>&1
    fetch
fi
shopt -s nullglob
for package in "$scratch"/*.deb; do
    dpkg-deb -x "$package" "$scratch/unpacked"
done
mkdir -p .tools/bin
for program in "${programs[@]}"; do
    if [[ -x $scratch/unpacked/usr/bin/$program ]]; then
        mv "$scratch/unpacked/usr/bin/$program" .tools/bin/
    fi
done
if ! have_all; then
    echo "prometheus-tools.sh: the packages prometheus and prometheus-pushgateway could not be had" >&2
    exit 3
fi
