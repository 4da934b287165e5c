"""The fewest network evaluations that a diffusion needs, see `__main__`.

Imports what the other studies may.
"""
