"""Files: reading what strangers wrote, and atomic writing.

This room imports small things only.
"""
