"""Samplers: each takes a function, not a model.

May import `diffusion` and everything below it.
"""
