"""Configs: one file per system, variants by arguments.

A file imports `ml_collections` and `pseudovideo`, and trains nothing.
"""
