"""Runs: the table of runs, the form of a new one, the job at work."""
