"""The quantities on the grid: a plain reference, fast strategies that agree with it, and the engine that runs them."""
