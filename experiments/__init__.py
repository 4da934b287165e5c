"""Tables, figures and studies; `python -m experiments list` names them.

Modules here are commands of a few lines; the rooms below do the work. They
import `benchmarks`, `configs` and `pseudovideo`.
"""
