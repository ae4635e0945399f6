"""The reference model: loading it, seeing and changing single heads, encoding, batches, losses."""
