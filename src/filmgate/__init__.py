"""Filmgate: the self-hosted task service for AI video."""

__version__ = "0.1.0"
