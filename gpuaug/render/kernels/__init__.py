"""Triton kernels of the renderer; each beside the torch definition that it must equal. Imported only where they run."""
