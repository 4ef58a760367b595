"""The structures people already have, in and out without loss."""
