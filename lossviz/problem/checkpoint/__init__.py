"""Weights: files in their formats, and how their names match the model's."""
