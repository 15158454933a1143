"""Test outputs become a submission to GLUE."""
