"""A strategy in a live node: data that comes, orders that go out, what is told of both."""
