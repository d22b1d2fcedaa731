"""Drills: each causes a real fault on a small run in a scratch folder and judges the safeguard."""
