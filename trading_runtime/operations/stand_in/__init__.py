"""A venue on this machine that speaks an exchange's protocol, fails on request, and records all.

The engine's real adapters connect to it. Its own record of what it accepted is the truth that tests
and drills compare a session with.
"""
