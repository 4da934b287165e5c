"""Benchmarks: one command each for time, memory, kills, damage and full disks.

They import `configs` and `pseudovideo`, and write records into results/.
"""
