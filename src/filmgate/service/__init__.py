"""The use cases: one file, one thing that a user or the clock asks for, one commit at a time."""
