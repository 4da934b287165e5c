"""Losses: arrays in, one value per example out; reduction is outside.

May import `models` and everything below it.
"""
