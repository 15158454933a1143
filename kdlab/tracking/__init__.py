"""Live views of runs, and where a result was computed."""
