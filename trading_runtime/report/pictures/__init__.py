"""The pictures of a report as SVG: one module for each, over a canvas and its panels."""

from __future__ import annotations
