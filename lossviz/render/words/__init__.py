"""Names, colours and styles: the vocabulary of a figure."""
