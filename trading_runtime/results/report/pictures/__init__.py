"""The pictures of a report, drawn with matplotlib as SVG: one module for each."""

from __future__ import annotations
