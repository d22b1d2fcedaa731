"""A strategy in a live node: incoming data, outgoing orders, and what is reported about both."""
