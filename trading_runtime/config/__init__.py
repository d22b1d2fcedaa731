"""The experiment file: what a researcher may write, how it is read, and how it is checked."""
