"""The entrypoint of a session: trades as one deployment file says.

python trading_runtime/local/trade.py --config deployment.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Run as a file, Python looks for modules beside it; the package is two folders up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from trading_runtime.cli.main import invoke

if __name__ == "__main__":
    from trading_runtime.cli.trade import trade

    sys.exit(invoke(trade, sys.argv[1:], debug="--debug" in sys.argv))
