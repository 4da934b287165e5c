"""The fewest network evaluations that a diffusion needs, see `__main__`."""
