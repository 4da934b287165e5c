"""Losses: arrays in, one value per example out; reduction is outside.

May import small things.
"""
