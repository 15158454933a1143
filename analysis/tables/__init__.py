"""Cells arranged as the tables of the papers, in every format."""
