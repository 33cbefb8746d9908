"""Records in, pictures out: a scene takes every decision, an easel draws it; numpy and matplotlib only."""
