"""Trajectories: recorded in a training loop, read back as snapshots, projected on a plane."""
