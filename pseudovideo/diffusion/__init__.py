"""Diffusion: schedules, chains, losses and bounds, without any network.

Indices k = 0 .. K - 1 count the steps of a chain; alphabar_k is what is left of
the signal's variance *after* step k, so that k = 0 is the cleanest noisy image
and "before step 0" means the data, alphabar = 1. A network enters only as

  predict(x, time) -> (eps, v)

with x (B, ...) of any rank and time (B,) float32 from `Chain.time`. eps has the
shape of x, and so has v where the variance is learned; otherwise v is None. In
annotations "B *rest" is the shape of x.

May import `losses` and small things.
"""
