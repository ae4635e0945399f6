"""A run in a notebook: shown in words, with its figures at hand."""
