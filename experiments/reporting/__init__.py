"""Tables of scores, as text, Markdown or CSV, and film strips.

Imports `rows`.
"""
