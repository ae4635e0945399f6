"""``python -m circuitseer_core``."""

from circuitseer_core.cli.main import main

if __name__ == "__main__":
    main()
