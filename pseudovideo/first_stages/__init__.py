"""Tokens, latents and weights of other runs, which only this room opens.

May import everything up to `runs`; a task is given its arrays.
"""
