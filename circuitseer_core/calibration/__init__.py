"""A score fitted to a person's own measure of difficulty: our step beyond the paper.

One reading a head, a regularised linear model, and an honest account of whether it means anything.
"""
