"""Rows of Sec. 2: an HVAE with the heat equation as encoder, and a free one.

Table 1 and Figure 2 share them. The paper scores digits by the Inception Score
over a classifier that it does not name; both of its models have T = 18.

The heat HVAE samples from blurred training images, as the published code of the
heat equation does. Ours beside the paper's are controls: `heat_gaussian` starts
from a Gaussian fitted to the data instead, so that it is given no training
image; `learned_time` stops the free encoder's training, whose step costs more,
when the heat HVAE's would have ended; `learned_small` has latents of half the
sides, and a decoder of two levels for them.
"""

from configs import hvae
from experiments.rows.base import Row, scaled

FAMILY = "hvae"

# A step of the heat HVAE takes this part of the time of one with a free encoder
# (small preset, two CPU cores; `benchmarks.train_step`).
SHARE_OF_TIME = 0.3

WORDS = {
  "Gaussian start": "sampled from a Gaussian fitted to the blurred images",
  "time of heat": "trained for as many seconds as the heat equation",
  "smaller latents": "latents of half the sides",
}

HEAT = Row(
  "heat",
  "heat equation",
  hvae,
  {"encoder": "heat"},
  overrides={"sampler.start": "training_images"},
  paper={"mnist": 9.32},
)
LEARNED = Row(
  "learned",
  "learnable encoder",
  hvae,
  {"encoder": "learned"},
  paper={"mnist": 7.27},
)
HEAT_GAUSSIAN = Row(
  "heat_gaussian",
  "heat, Gaussian start",
  hvae,
  {"encoder": "heat"},
  overrides={"sampler.start": "gaussian"},
  weights_from={preset: HEAT for preset in hvae.PRESETS},
  is_control=True,
)
LEARNED_TIME = Row(
  "learned_time",
  "learnable, time of heat",
  hvae,
  {"encoder": "learned"},
  overrides={
    name: scaled(SHARE_OF_TIME)
    for name in ("train.steps", "optimizer.warmup_steps", "task.warmup_steps")
  },
  is_control=True,
)
LEARNED_SMALL = Row(
  "learned_small",
  "learnable, smaller latents",
  hvae,
  {"encoder": "learned"},
  overrides={
    "task.latent_downscale": 2,
    "model.multipliers": (1, 2),
    "model.attention": (1,),
  },
  is_control=True,
)
