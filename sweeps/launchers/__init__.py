"""Where tasks run: SLURM, or this machine. `contract` says what the file of a launcher has."""
