"""Plotly, which is an extra: imported when a chart is made."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from trading_runtime.errors import UsageError

INK, QUIET, RULE = "#1d2733", "#66717e", "#e3e7ec"
BLUE, RED, GREEN, GOLD = "#1f5fa8", "#b8402f", "#2f8f5b", "#d99100"
_INSTALL = (
    "charts need Plotly, which is not installed; run 'pip install \"trading-runtime[charts]\"'"
)
SCALE = ("#7d2418", "#c96a58", "#f2cfc7", "#f7f7f7", "#c6daec", "#5b94c8", "#153f74")
"""As in the pictures of the report: losses are red."""


def graph_objects() -> Any:
    """Return ``plotly.graph_objects``; raises ``UsageError`` when Plotly is not installed."""
    return _module("plotly.graph_objects")


def subplots(**settings: Any) -> Any:
    """Return an empty figure with several plots, one above the other."""
    return _module("plotly.subplots").make_subplots(**settings)


def script() -> str:
    """Return Plotly's script, for a self-contained page."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise UsageError(_INSTALL)
    # Read without importing the package, which takes longer than the file.
    path = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return path.read_text(encoding="utf-8")


def is_installed() -> bool:
    """Return whether charts can be made here."""
    return importlib.util.find_spec("plotly") is not None


def styled(figure: Any, **layout: Any) -> Any:
    """Give a figure the look of the report."""
    figure.update_layout(
        template="plotly_white",
        font={"family": "system-ui, Segoe UI, Roboto, Arial, sans-serif", "color": INK},
        margin={"l": 70, "r": 30, "t": 50, "b": 40},
        hovermode="closest",
        **layout,
    )
    return figure


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(_INSTALL) from error
