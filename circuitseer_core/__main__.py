"""``python -m circuitseer_core``."""

from circuitseer_core.cli import main

if __name__ == "__main__":
    main()
