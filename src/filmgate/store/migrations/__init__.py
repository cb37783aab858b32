"""Numbered SQL, only forward, each safe while the version before it still runs."""
