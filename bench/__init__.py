"""The benchmarks: one module per case, run by `python -m bench` (`make bench`)."""
