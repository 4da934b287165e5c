"""Frozen networks that losses and metrics use, named and hashed.

May import everything up to `report`; knows no task and no run.
"""
