"""Drills: a fault is made for real on a small run in a scratch place, and the safeguard judged."""
