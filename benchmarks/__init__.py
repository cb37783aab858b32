"""What Filmgate is measured by: `make bench`, or `python -m benchmarks poll submit` for some of it."""
