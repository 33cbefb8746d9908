"""What commands print: progress, results, warnings."""
