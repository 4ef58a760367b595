"""The batch: what goes in, what comes out."""
