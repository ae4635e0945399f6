"""A subset out of a run: rows, formats, manifest, card; and deriving it again (verify)."""
