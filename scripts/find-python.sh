#!/usr/bin/env bash
# Prints the path of a Python 3.13 that can make an environment: from uv, python3.13, pyenv, or the
# system's python3, in that order. Only when none is on this machine is uv asked to download one.
set -uo pipefail

wanted=3.13

# A name on the PATH proves nothing: pyenv's shims are there for versions that are not active, and
# Debian's python3 may come without venv. So each candidate has to run.
accepts() {
    [[ -n $1 ]] && "$1" -c "
import sys, sysconfig
import ensurepip, venv
good = sys.version_info[:2] == (3, 13) and not sysconfig.get_config_var('Py_GIL_DISABLED')
sys.exit(not good)" >/dev/null 2>&1 </dev/null
}

offer() {
    if accepts "$1"; then
        "$1" -c 'import sys; print(sys.executable)'
        exit 0
    fi
}

from_uv() { uv python find --system --no-python-downloads "$wanted" 2>/dev/null; }

if command -v uv >/dev/null; then offer "$(from_uv)"; fi

offer "$(command -v python3.13)"

if command -v pyenv >/dev/null; then
    # Newest patch release first; no version needs to be active for this.
    while IFS= read -r version; do
        offer "$(PYENV_VERSION=$version pyenv which python 2>/dev/null)"
    done < <(pyenv versions --bare 2>/dev/null | grep -E "^${wanted//./\\.}\.[0-9]+$" | sort -t. -k3,3nr)
fi

offer "$(command -v python3)"

if command -v uv >/dev/null && uv python install "$wanted" >/dev/null 2>&1; then offer "$(from_uv)"; fi

echo "Python $wanted (with its venv module) was not found; install it, for instance with" \
    "'uv python install $wanted', 'pyenv install $wanted' or 'apt-get install python$wanted-venv', then try again" >&2
exit 2
