"""Configs: one file per system, variants by arguments.

A file imports `ml_collections`, `pseudovideo` and the standard library, so that
it can be copied alone to any folder; it trains nothing.
"""
