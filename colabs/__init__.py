"""Notebooks: percent-format sources, and what is generated from them."""
