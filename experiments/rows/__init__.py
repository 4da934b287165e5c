"""Rows of tables, as configs, and the rows of each system.

The lowest room: it imports `configs` and `pseudovideo` only, and trains
nothing.
"""
