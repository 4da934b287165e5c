"""From results to README and to one page of all tables.

Imports every other room.
"""
