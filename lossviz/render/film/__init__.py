"""Moving pictures: a path growing on its surface, a flight around it."""
