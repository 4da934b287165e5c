"""Video autoencoders: IV-VAE, a causal one, Movie Gen's, and an image VAE.

May import other models and what they may.
"""
