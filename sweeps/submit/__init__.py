"""Runs that are due become submissions, each once, whatever happened to the last launch."""
