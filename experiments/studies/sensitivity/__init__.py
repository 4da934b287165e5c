"""What scores see of changed images: the parts of `studies.instruments`.

Imports what the other studies may.
"""
