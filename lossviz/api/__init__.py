"""lossviz from Python: models at hand in, surfaces that draw themselves out."""
