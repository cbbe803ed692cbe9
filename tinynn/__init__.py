"""Neural networks whose every layer you can read."""
