"""Configs of every file with fields changed to whatever a user may type."""

import copy
import dataclasses
import functools
import math
import pathlib

from hypothesis import strategies as st

from configs import (
  hvae,
  latent_diffusion,
  token_prior,
  tokenizer,
  video_diffusion,
  video_vae,
)
from pseudovideo import errors, optimizers
from pseudovideo import fields as types
from pseudovideo.config import comparing, filling, parsing, sections
from pseudovideo.pretrained import perceptual_features

FILES = {
  pathlib.Path(module.__file__).stem: module
  for module in (
    hvae,
    latent_diffusion,
    token_prior,
    tokenizer,
    video_diffusion,
    video_vae,
  )
}
# Config file -> arguments that make different networks or tasks of it.
TINY = {
  "hvae": ["encoder=heat", "encoder=learned", "encoder=heat,dataset=mnist"],
  "video_diffusion": [
    "frames=1",
    *(f"frames=4,augmentation={a}" for a in video_diffusion.AUGMENTATIONS),
  ],
  "tokenizer": ["frames=1", "frames=8", "frames=8,recipe=as_published"],
  "token_prior": ["order=next", "order=masked"],
  "latent_diffusion": ["dataset=digits", "dataset=cifar10"],
  "video_vae": [
    *(f"frames=5,network={name}" for name in video_vae.NETWORKS),
    "frames=1,network=image",
    "frames=4,network=tae",
  ],
}
# Files that need a first stage: its section, the file and argument of its run.
FIRST_STAGES = {
  "token_prior": ("tokenizer", tokenizer, "frames=8"),
  "latent_diffusion": ("autoencoder", video_vae, "frames=5,network=key_motion"),
}
DATASETS = ("digits", "mnist", "cifar10", "celeb_a")
# What a run fills in by itself, and what is no value of a field.
FILLED_IN = ("hash", "config")

HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 10**9, 10**400)
SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 24, 32)
INTEGERS = (*SMALL, -1, -8, 31, 48, 63, 64, 100, 128, 1000, *HUGE, -(10**9))
FRACTIONS = (-1.0, 0.0, 1e-3, 0.25, 0.3, 0.5, 0.9, 0.999, 1.0, 1.5, 3.0, 20.0)
EXTREME = (1e-50, 1e-40, 1e-30, 1e-7, 1 - 1e-12, 1e10, 1e37, 1e39, 1e300)
NO_NUMBERS = (math.nan, math.inf, -math.inf)
WORDS = ("", " ", "x", "none", "None", "auto", "a\nb", "ü", "x" * 999, "1", "4")
ODD = (None, True, False, 1, 0, 1.0, 2.5, "", "3", (), [], [1], {}, ((1,),))
_DIFFUSION = (
  {"process.variance": "learned", "process.loss": "hybrid"},
  {
    "process.variance": "learned",
    "process.loss": "vlb",
    "process.timesteps": "loss_second_moment",
  },
  {"process.schedule": "cosine", "sampler.method": "dpm_solver"},
  {"sampler.method": "ddim", "sampler.eta": 0.5, "sampler.respacing": "ddim4"},
)
_VAE = (
  {"task.adversarial": True},
  {"task.order": "forward", "model.dtype": "bfloat16"},
)
# Per task, fields that only go together.
VARIANTS = {
  "heat_hvae": (
    {"sampler.start": "training_images"},
    {"task.sigmas": (0.5, 1.0, 2.0, 4.0)},
    {
      "data.binarize": "threshold",
      "task.reconstruction_likelihood": "bernoulli",
    },
  ),
  "learned_hvae": (
    {"task.latent_downscale": 2, "task.decoder_levels": "all"},
    {"task.latent_downscale": 4, "task.scan": "remat"},
    {
      "data.binarize": "bernoulli",
      "task.reconstruction_likelihood": "bernoulli",
    },
  ),
  "image_diffusion": _DIFFUSION,
  "video_diffusion": (
    *_DIFFUSION,
    {
      **{"task.scheme": "blockwise", "task.context": 0},
      **{"task.window": 3, "task.new_frames": 2},
    },
    {"task.training_windows": "random", "task.fixed_noise": True},
  ),
  "latent_diffusion": (*_DIFFUSION, {"task.latents": "means"}),
  "video_tokenizer": (
    {"quantizer.name": "euclidean", "task.judged_frame": "last"},
    {"quantizer": {"name": "lookup_free", "codes": 16, "width": 16}},
    {
      **{"augmentation": {"name": "blur", "frames": 9}, "model.frames": 9},
      **{"model.grid": "first_frame", "model.temporal_layers": 1},
    },
  ),
  "next_token": (
    {"model.embedding": "learned"},
    {"sampler.top_k": 3, "sampler.top_p": 0.5, "model.remat": True},
  ),
  "masked_token": (
    {"task.critic": "separate", "sampler.rule": "phenaki"},
    {"task.critic": "shared", "model.offset_bias": False},
  ),
  "video_vae": _VAE,
  "video_tae": _VAE,
}
# What must be equal.
TIED = (
  (("model", "width"), ("quantizer", "width")),
  (("model", "frames"), ("augmentation", "frames")),
)
# Sections on which no shape of anything compiled depends.
UNTRACED = ("evaluate", "optimizer", "discriminator_optimizer")
TRACED_OF_TRAIN = ("batch_size", "accumulate")
# Fields in which a large number makes a network deep or a loop long to trace.
DEEP = (
  "accumulate",
  "blocks",
  "frames",
  "layers",
  "levels",
  "multipliers",
  "spatial_layers",
  "temporal_layers",
)


def _names() -> tuple[str, ...]:
  """Every name that a table or the type of a field has."""
  from pseudovideo.data import SETS
  from pseudovideo.metrics import set_metrics

  tables = [SETS, set_metrics.METRICS, perceptual_features.FEATURES]
  tables += filling.NAMED.values()
  for task in filling.NAMED["task"].values():
    hints = list(types.types_of(task).values())
    for part in (*hints, *NAMED_PARTS):
      if dataclasses.is_dataclass(part):
        hints += types.types_of(part).values()
    tables += [types.choices(hint) for hint in hints]
  respacings = ("2", "50", "ddim4", "ddim3", "1,2", "4/4/2", "4/4", "0", "-1")
  lists = ("FD,KID", "FD,", "FD, IS", ",", "folder:", "folder:x", "videos:x")
  paths = ("videos:x?size=8&frames=5", "digits:", "random ", "Digits")
  names = {name for table in tables for name in table}
  return tuple(sorted(names | {*respacings, *lists, *paths}))


NAMED_PARTS = (
  *filling.NAMED["augmentation"].values(),
  *filling.NAMED["quantizer"].values(),
  sections.DataConfig,
  sections.EvaluateConfig,
  optimizers.OptimizerConfig,
)
NAMES = _names()
PRESETS = ("small", "tiny", "paper")


@functools.cache
def complete(file: str, argument: str) -> dict:
  """A completed config; its first stage, if it needs one, is filled in."""
  raw = parsing.complete(FILES[file].get_config(argument))
  if file in FIRST_STAGES:
    section, coders, frames = FIRST_STAGES[file]
    common = [
      part
      for part in argument.split(",")
      if part.split("=")[0] in ("dataset", "preset")
    ]
    coder = coders.get_config(",".join([*common, frames]))
    raw[section]["hash"] = "0" * 64
    raw[section]["config"] = comparing.to_json(parsing.complete(coder))
  return raw


def fields(raw: dict, traced: bool) -> list[tuple[str, str]]:
  """(section, field) of all that can be set, or of what shapes depend on."""
  found = [
    (section, name)
    for section, values in raw.items()
    if section != "title"
    for name in values
    if name not in FILLED_IN
  ]
  if not traced:
    return found
  return [
    (section, name)
    for section, name in found
    if section not in UNTRACED
    and not name.endswith(("_weight", "_from", "most_adaptive"))
    and (section != "train" or name in TRACED_OF_TRAIN)
  ]


def value_like(present, *, deep: bool) -> st.SearchStrategy:
  """Mostly values of the type of `present`, sometimes of another one.

  Args:
    present: the value that is replaced.
    deep: whether large numbers are left out.
  """
  integers = st.sampled_from(SMALL if deep else INTEGERS)
  floats = st.sampled_from((*FRACTIONS, *EXTREME, *NO_NUMBERS, *SMALL, 10**400))
  strings = st.sampled_from((*NAMES, *WORDS))
  flags = st.booleans()
  if isinstance(present, bool):
    fitting = flags
  elif isinstance(present, int):
    fitting = integers
  elif isinstance(present, float):
    fitting = floats
  elif isinstance(present, str):
    fitting = strings
  elif isinstance(present, tuple | list):
    of = {bool: flags, str: strings, float: floats}
    kind = type(present[0]) if present else None
    elements = of.get(kind, integers)
    if kind is None:
      elements = st.one_of(integers, floats, strings)
    fitting = st.lists(elements, max_size=5).map(tuple)
  else:
    fitting = st.one_of(integers, floats)
  odd = st.sampled_from(ODD)
  return st.integers(0, 9).flatmap(lambda n: odd if n == 0 else fitting)


@st.composite
def changed(draw, cases, *, traced: bool):
  """A config with one to three fields changed.

  Args:
    draw: of hypothesis.
    cases: (file, argument) pairs.
    traced: whether numbers that are slow to trace are left out.

  Returns:
    File, argument, config, and {(section, field): value} of what was changed,
    the fields of a variant among them.
  """
  file = draw(st.sampled_from(sorted({file for file, _ in cases})))
  argument = draw(st.sampled_from([a for f, a in cases if f == file]))
  raw = copy.deepcopy(complete(file, argument))
  variants = VARIANTS[raw["task"]["name"]]
  raw, changes = varied(raw, draw(st.sampled_from(({}, *variants))))
  found = st.sampled_from(fields(raw, traced))
  most = draw(st.sampled_from((1, 1, 2, 3)))
  chosen = draw(st.lists(found, min_size=1, max_size=most, unique=True))
  for section, name in chosen:
    present = raw[section].get(name)
    deep = traced and name in DEEP
    changes[section, name] = draw(value_like(present, deep=deep))
    raw[section][name] = changes[section, name]
  if draw(st.booleans()):
    _tie(draw, raw, changes)
  return file, argument, raw, changes


def varied(raw, variant):
  """The config with the fields of a variant, and what they are."""
  changes = {}
  for path, value in variant.items():
    section, _, name = path.partition(".")
    if name:
      raw[section][name] = value
      changes[section, name] = value
    else:
      raw[section] = value
      changes |= {(section, name): value[name] for name in value}
  return parsing.complete(raw), changes


def _tie(draw, raw, changes):
  """Changes what must be equal, or as long, along with what was changed."""
  found = [
    (path, value)
    for pair in TIED
    for path, other in (pair, pair[::-1])
    if other in changes and (value := changes[other]) is not None
  ]
  multipliers = changes.get(("model", "multipliers"))
  if "temporal" in raw["model"] and isinstance(multipliers, tuple):
    num = max(len(multipliers) - 1, 0)
    flags = draw(st.lists(st.booleans(), min_size=num, max_size=num))
    found.append((("model", "temporal"), tuple(flags)))
  for (section, name), value in found:
    if name in raw.get(section, ()):
      raw[section][name] = changes[section, name] = value


def tiny_cases() -> list[tuple[str, str]]:
  """All of `TINY`, as (file, argument)."""
  return [
    (file, f"{argument},preset=tiny")
    for file, arguments in TINY.items()
    for argument in arguments
  ]


def all_cases() -> list[tuple[str, str]]:
  """The same with every data set and preset that take them."""
  cases = []
  for file, arguments in TINY.items():
    for argument in arguments:
      for dataset in DATASETS:
        for preset in PRESETS:
          parts = [p for p in argument.split(",") if "dataset=" not in p]
          parts += [f"dataset={dataset}", f"preset={preset}"]
          cases.append((file, ",".join(parts)))
  return cases


def is_sentence(error: errors.UserError) -> bool:
  """Whether it is at most a few sentences on one line."""
  text = str(error)
  return (
    text.endswith(".")
    and not text.endswith("..")
    and "\n" not in text
    and text[0].isprintable()
    and 20 < len(text) <= 600
  )
