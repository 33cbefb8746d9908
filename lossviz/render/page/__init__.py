"""Pictures in a browser: the interactive page and the report."""
