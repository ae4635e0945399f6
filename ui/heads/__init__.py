"""Heads: the layer by head map and what stands behind a cell."""
