"""Overrides become a run: options composed, resolved, checked, and named by a uid."""
