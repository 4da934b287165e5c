"""Samplers: each takes a function, not a model."""
