"""One task in a simulated venue: engine, feed, venue and kill signal."""
