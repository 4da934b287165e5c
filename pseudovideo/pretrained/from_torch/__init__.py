"""Converts state dicts of PyTorch to the frozen networks' parameters.

May import `files` and `networks`.
"""
