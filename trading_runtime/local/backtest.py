"""The entrypoint of a backtest, on a laptop and in a pod: runs one experiment file.

python trading_runtime/local/backtest.py --config local.json
python trading_runtime/local/backtest.py --step plan --config s3://… --run-id …   one step, in a pod
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    # Run as a file, Python looks for modules beside it; the package is two folders up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)
    is_step = any(argument.partition("=")[0] == "--step" for argument in sys.argv[1:])
    if is_step:
        # It waits until the step can tell what it means: a pod that was deleted has not failed.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

from trading_runtime.cli.main import invoke

if __name__ == "__main__":
    if is_step:
        from trading_runtime.cli.step import step as command
    else:
        from trading_runtime.cli.run import run as command
    sys.exit(invoke(command, sys.argv[1:], debug="--debug" in sys.argv))
