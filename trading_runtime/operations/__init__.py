"""Before, beside and after runs: is it ready, does it answer, do the books agree, does it hold."""
