"""How the directions of a plane are made."""
