"""Records and plans become one frame of runs."""
