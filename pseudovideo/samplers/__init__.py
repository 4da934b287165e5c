"""Samplers: each takes a function, not a model.

May import `augmentations`, `diffusion`, `losses` and small things.
"""
