"""Programs of their own, which the tests start: a pretend GPU must be there before torch is imported."""

collect_ignore = ["pretend", "ways.py", "commands.py", "mistakes.py"]
