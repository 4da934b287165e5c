"""Files: reading those that strangers made, and atomic writing.

This room imports small things only.
"""
