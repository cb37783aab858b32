"""Paints what a screenplay describes: one module per thing that can be seen."""
