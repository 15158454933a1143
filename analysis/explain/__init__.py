"""Where a number comes from, and where two differ."""
