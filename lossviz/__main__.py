"""``python -m lossviz`` is the ``lossviz`` command."""

from lossviz.cli.main import main

if __name__ == "__main__":
    main()
