"""What is done beside a run: projected paths, traces, sharpness, timing, the demo."""
