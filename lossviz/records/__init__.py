"""What passes between rooms and lies on disk: plain records of numpy arrays and text, without torch."""
