"""Examples: readers, splits, and the fixed subset in its fixed order."""
