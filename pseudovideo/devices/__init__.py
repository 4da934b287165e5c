"""The mesh, shardings, processes, XLA's settings, and batches over them.

May import small things and `data`; knows no task.
"""
