"""A real SLURM cluster for tests: `python -m tests.slurm up DIR` starts one by hand."""
