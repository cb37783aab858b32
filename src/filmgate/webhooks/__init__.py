"""Webhooks on their way: who posts them, where to, and in which order."""
