"""Ways of evaluating a point: the plain loop, the fast ones, and the measured choice between them."""
