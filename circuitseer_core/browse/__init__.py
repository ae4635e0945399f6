"""Looking at scored samples: SQL over the shards, groupings, matched pairs, token spans."""
