"""Number formats and precision recipes."""
