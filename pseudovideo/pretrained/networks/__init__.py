"""The frozen networks themselves: Linen modules.

May import what `models` may.
"""
