"""The transforms that people compose, one file for each family."""
