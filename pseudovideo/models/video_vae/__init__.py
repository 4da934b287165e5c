"""Video autoencoders: IV-VAE, its causal baseline, and an image VAE."""
