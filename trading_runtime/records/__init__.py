"""The documents of a run as typed records: each is read and checked in one place."""
