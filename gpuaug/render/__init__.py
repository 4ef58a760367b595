"""From warps and programs to pixels: the plan of a pipeline and the backends that run it."""
