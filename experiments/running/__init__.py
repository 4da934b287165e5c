"""From rows to results: one after another, side by side, or on a cluster.

Imports `reporting` and the rooms below it; knows no table.
"""
