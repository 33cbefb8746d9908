"""Matplotlib draws a scene: one file a kind of mark."""
