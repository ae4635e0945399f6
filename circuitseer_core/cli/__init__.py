"""The command line: ``circuitseer`` and ``python -m circuitseer_core``."""
