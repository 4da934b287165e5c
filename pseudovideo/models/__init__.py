"""Networks: Linen modules with plain fields, never the whole config.

May import small things; no network knows a config.
"""
