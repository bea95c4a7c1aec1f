"""``python -m gamesales`` is the command line."""

from gamesales.cli import main

if __name__ == "__main__":
    main()
