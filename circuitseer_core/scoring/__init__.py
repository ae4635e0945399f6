"""Stage 2: the attention that the reasoning heads pay, as profiles and scores of every sample."""
