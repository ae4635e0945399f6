"""What fine-tuning on a comparison arm does to held-out text."""
