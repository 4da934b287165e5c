"""The arithmetic of scores: arrays in, numbers out.

May import `pretrained` and everything below it, no run and no task.
"""
