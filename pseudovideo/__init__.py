"""Pseudo-video generation: an image as the last frame of a short video."""

__version__ = "0.1.0"
