"""The project's own store: frames of one size in memory-mapped shards, with an index."""
