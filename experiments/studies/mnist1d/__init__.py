"""Classifiers and pseudo videos of 1-D digits, see `__main__`.

Imports what the other studies may.
"""
