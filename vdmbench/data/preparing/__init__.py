"""From what others publish to the project's own store: fetching, unpacking, preparing; and verifying what came of it."""
