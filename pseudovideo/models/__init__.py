"""Networks: Linen modules with plain fields, never the whole config.

May import `augmentations` and small things; no module knows a config.
"""
