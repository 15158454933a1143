"""A study file: what it may say, and the cells that it asks for."""
