"""The HTTP edge: wire dialects over one task core."""
