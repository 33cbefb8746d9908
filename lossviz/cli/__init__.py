"""The command line: one file a command, each turning words into one library call."""
