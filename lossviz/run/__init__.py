"""A run from its plan to the finished file."""
