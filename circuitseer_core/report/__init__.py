"""One HTML page that says what a run found and what may be wrong with it."""
