"""The entrypoint of a backtest, on a laptop and in a pod: runs one experiment file.

python trading_runtime/local/backtest.py --config local.json
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Run as a file, Python looks for modules beside it; the package is two folders up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from trading_runtime.cli.main import invoke
from trading_runtime.cli.run import run

if __name__ == "__main__":
    sys.exit(invoke(run, sys.argv[1:], debug="--debug" in sys.argv))
