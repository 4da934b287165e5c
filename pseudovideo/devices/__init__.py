"""The mesh, shardings, processes, XLA's settings, and batches over them.

May import `files` and small things; knows no task.
"""
