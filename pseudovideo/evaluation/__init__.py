"""Scores of a run: samples, reconstructions, bounds, results.json.

May import everything up to `first_stages`.
"""
