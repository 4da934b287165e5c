"""State dicts of PyTorch into the frozen networks' parameters.

May import `files` and `networks`.
"""
