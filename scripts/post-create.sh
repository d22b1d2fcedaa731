#!/usr/bin/env bash
# Makes a new dev container ready to work in.
set -euo pipefail
cd "$(dirname "$0")/.."

make environment-dev
