"""Failure signatures: what may be wrong with a run, in sentences with the number behind each."""
