"""The experiment file: what a researcher may write, how it is read, and what is wrong with it."""
