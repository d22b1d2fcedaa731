"""How fast and how small a run is, measured against pinned peers: ``make bench``."""
