"""Tasks: the glue of model, loss and sampler, one file per system.

To add one: write a frozen dataclass with the methods of `base.Task`, and name
it here.
"""

from pseudovideo.tasks import heat_hvae, learned_hvae

TABLE = {
  "heat_hvae": heat_hvae.HeatHVAE,
  "learned_hvae": learned_hvae.LearnedHVAE,
}

# Task fields that are networks: each is a section of the config.
NETWORKS = ("model", "encoder")
