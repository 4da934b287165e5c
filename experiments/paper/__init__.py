"""A file for every table and figure of the paper.

Imports `running` and the rooms below it.
"""
