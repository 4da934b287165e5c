"""How few network evaluations a trained diffusion needs, see `__main__`."""
