"""Random numbers: the counter-based generator, distributions and image-sized noise."""
