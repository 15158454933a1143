"""Where tasks run: SLURM, or this machine."""
