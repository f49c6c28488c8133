"""What is measured and never asserted: run one as `python -m benchmarks.NAME`, or `make bench`."""
