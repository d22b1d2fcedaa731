"""Evidence of a run: one archive that proves it, checked and compared offline."""
