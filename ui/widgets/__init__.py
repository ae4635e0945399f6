"""Parts that several pages draw: charts, the head map, tokens, commands."""
