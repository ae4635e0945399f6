"""Every threshold from which a number is a warning, once: pages, card and report read these."""
