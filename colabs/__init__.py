"""Notebooks: percent-format sources, and what `build` makes of them.

Notebooks import `pseudovideo`, `configs` and `experiments`; none defines a model.
"""
