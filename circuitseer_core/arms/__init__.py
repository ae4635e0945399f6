"""Comparison arms: the subsets that a draw has to beat, drawn at one budget and exported."""
