"""Functions, to come."""
