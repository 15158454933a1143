"""Tests over seeds, intervals, and the cells that both are of."""
