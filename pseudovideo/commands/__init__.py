"""Commands, one file each; thin.

May import everything but `main`.
"""
