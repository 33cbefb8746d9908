"""What a figure says in words: caption, findings, caution, footer."""
