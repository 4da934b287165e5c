"""Tables, figures and demonstrations of our own.

Imports `paper` and the rooms below it.
"""
