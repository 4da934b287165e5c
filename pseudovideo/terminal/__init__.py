"""The terminal: flags, progress, signals.

May import everything up to `config`.
"""
