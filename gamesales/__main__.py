"""Run the command line: ``python -m gamesales``."""

from gamesales.cli import main

if __name__ == "__main__":
    main()
