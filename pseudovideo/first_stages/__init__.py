"""Everything that opens another run: tokens, latents, inflation.

May import everything up to `runs`; a task is given its arrays.
"""
