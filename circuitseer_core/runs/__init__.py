"""The run folder: its files, a stage at work in it, background jobs, progress."""
