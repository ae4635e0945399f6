"""Figures: pure functions from data frames to plotly figures, used by the app and the report."""
