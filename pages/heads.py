"""Heads: which attention heads carry the loss."""

from ui.shell import page_header, require_run

page_header("Heads")
run = require_run("detect")
