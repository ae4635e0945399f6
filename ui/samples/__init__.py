"""Samples: browse, compare and judge scored samples."""
