"""From words on the command line to the callables that make model, data and loss."""
