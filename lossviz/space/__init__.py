"""Parameter space: points, directions and planes, and their algebra."""
