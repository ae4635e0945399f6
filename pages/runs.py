"""Runs: start, watch, cancel, resume."""

from ui.shell import page_header

page_header("Runs")
