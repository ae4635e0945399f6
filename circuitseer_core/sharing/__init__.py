"""Head maps on the Hugging Face Hub: out of a run, and into one."""
