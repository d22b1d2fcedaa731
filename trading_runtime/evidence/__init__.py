"""Evidence of a run: one archive that proves it, checked and compared with nothing else at hand."""
