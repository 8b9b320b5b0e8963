"""What this project costs: `python -m benchmarks` measures it. Uses `local`, `tests` and `worker`."""
