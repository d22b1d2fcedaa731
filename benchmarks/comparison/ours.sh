#!/usr/bin/env bash
# Our column of docs/comparison.md: from an empty folder to a report over the prices of prices.py.
# Takes a folder that is made; the command trading-runtime is the one on the PATH.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir "${1:?give a folder to make}"
cd "$1"
python3 "$here/prices.py" >prices.csv

trading-runtime init own
cd own
trading-runtime data import ../prices.csv --instrument BTCUSDT.SIM --lot 0.001 \
    --time-zone UTC --set timestamp_marks=open

# What a user changes by hand: eight lines of the experiment, and the average of the strategy.
sed -i -e 's|data/example|data/BTCUSDT.SIM|' -e 's|BTCUSDT-PERP.SIM|BTCUSDT.SIM|' \
    -e 's|1-MINUTE-LAST|1-HOUR-LAST|' -e 's|by: week|by: whole|' -e 's|trade_size: .*|trade_size: 40|' \
    -e 's|maker: 0.0002|maker: 0.0005|' \
    -e 's|fast: .*|fast: [10, 20, 30]|' -e 's|slow: .*|slow: [50, 100, 150]|' experiment.yaml
sed -i 's|ExponentialMovingAverage|SimpleMovingAverage|' strategies/ema_cross.py
trading-runtime run experiment.yaml
