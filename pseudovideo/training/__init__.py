"""The training loop, the step, the state, and what is done about nan.

May import everything up to `evaluation`; knows no task by name.
"""
