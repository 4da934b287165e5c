"""Frozen networks that losses and metrics look through, named and hashed.

May import everything up to `report`; knows no task and no run.
"""
