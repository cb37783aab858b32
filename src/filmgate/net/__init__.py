"""The safe HTTP client: the one way out to addresses that strangers gave us."""
