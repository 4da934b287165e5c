"""Notebooks: percent-format sources, and what `build` makes of them.

They import `pseudovideo`, `configs` and `experiments`, and define no model.
"""
