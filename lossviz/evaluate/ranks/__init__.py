"""Ranks that evaluate one point together: each a share of the examples, or of the model."""
