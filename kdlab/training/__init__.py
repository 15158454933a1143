"""Students side by side over the same batches: updates, evaluation, test outputs."""
