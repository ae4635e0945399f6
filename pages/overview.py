"""Overview: where this run stands and what to do next."""

from ui.shell import page_header, require_run

page_header("Overview", "Find a model's reasoning heads, score samples by them, draw the subset.")
run = require_run()
