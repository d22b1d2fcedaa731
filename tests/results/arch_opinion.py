"""What arch makes of the trials of ``test_resampling``: p-values, printed as JSON.

It needs pandas, which must not be in the environment of the tests, so it runs in one of its own:

    python -m venv opinion && opinion/bin/pip install arch==8.0.0
    opinion/bin/python tests/results/arch_opinion.py
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAYS, BLOCK = 250, 6


def trials() -> NDArray[np.float64]:
    """Return daily returns of twenty trials: some wild, one hopeless, the last one good."""
    returns = np.random.default_rng(2).normal(0, 0.01, (DAYS, 20))
    returns[:, -1] += 0.0015
    returns[:, :5] *= 3
    returns[:, 0] -= 0.01
    return returns


def benchmarks() -> dict[str, NDArray[np.float64]]:
    """Return the daily returns of not trading, and of holding what rose by 11 % in the year."""
    return {
        "not trading": np.zeros(DAYS),
        "buy-and-hold": np.random.default_rng(3).normal(0.0004, 0.004, DAYS),
    }


def opinion(arch: Any, held: NDArray[np.float64]) -> dict[str, float]:
    """Return White's and Hansen's p-values over 5,000 stationary resamples.

    arch studentises no maximum, but only its threshold. So White's test is its "upper" one, and
    Hansen's its "consistent" one of returns that are divided by arch's own long-run deviation.
    """

    def tested(above: NDArray[np.float64]) -> Any:
        # Its resamples are of losses.
        test = arch.SPA(np.zeros(DAYS), -above, block_size=BLOCK, reps=5_000, seed=1)
        test.compute()
        return test

    above = trials() - held[:, None]
    plain = tested(above)
    deviation = np.sqrt(plain._loss_diff_var)
    return {
        "white": float(plain.pvalues["upper"]),
        "hansen": float(tested(above / deviation).pvalues["consistent"]),
    }


if __name__ == "__main__":
    package = importlib.import_module("arch.bootstrap")
    found = {name: opinion(package, held) for name, held in benchmarks().items()}
    print(json.dumps(found, indent=4))  # noqa: T201 - it is what this program is for
