"""From a name on the command line to something that has a loss: model, data, parameters."""
