"""Curvature of the loss at a point: products with Hessian and Gauss–Newton matrix, and what follows from them."""
