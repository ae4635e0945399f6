"""What the app's server does besides answering pages."""
