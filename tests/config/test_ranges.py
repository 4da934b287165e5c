"""Whatever a config can set is refused outside its range, and so named.

Every field of every dataclass that a config fills gets values that are no
choice, no sensible number or of another type. A field of a new class is tested
without being named here; where it does take such a value, `TAKEN` says so.
"""

import copy
import fnmatch
import functools
import math
import re
import typing

import pytest

from pseudovideo import errors, fields, tasks
from pseudovideo.config import filling, parsing
from tests import traced_tasks
from tests.config import drawn_configs as drawn
from tests.shapes import SHAPES

HUGE = 2**31
# Value -> fields that take it, as the package documents.
TAKEN = {
  -1: ("encoder.max_log_sigma",),
  0: (
    *("encoder.max_log_sigma", "evaluate.seed"),
    *("model.*dropout", "model.embedding_gradient", "task.*_weight"),
    *("quantizer.decay", "quantizer.diversity", "quantizer.restart_below"),
    *("sampler.*temperature", "sampler.critic_noise", "sampler.eta"),
    *("task.gradient_penalty", "task.image_share", "task.most_adaptive"),
    *("task.smoothing", "train.eval_every", "train.keep_every", "train.seed"),
    *("*optimizer.b1", "*optimizer.b2", "*optimizer.weight_decay"),
    *("*optimizer.clip_norm", "*.warmup_steps", "optimizer.ema_decay"),
    # None, or all of them.
    *("discriminator.attention", "model.temporal_layers", "sampler.top_k"),
    *("task.adversarial_from", "task.new_frames", "task.window"),
    *("train.skip_bad_steps", "augmentation.rate"),
    # The first level.
    "model.attention",
  ),
  HUGE: (
    *("*.seed", "train.*_every", "train.keep", "train.skip_bad_steps"),
    *("evaluate.batch_size", "discriminator.attention"),
    # Frames of a patch, of which an image has none.
    "model.patch",
  ),
  1e30: (
    *("*optimizer.clip_norm", "*optimizer.eps", "*optimizer.learning_rate"),
    *("*optimizer.weight_decay", "augmentation.sigma_max", "task.*_weight"),
    *("encoder.max_log_sigma", "quantizer.diversity", "quantizer.eps"),
    *("quantizer.inverse_temperature", "quantizer.restart_below"),
    *("task.gradient_penalty", "task.most_adaptive"),
  ),
  # Paths, which are looked up where a run begins.
  "nonsense": (
    "*.workdir",
    "*.hash",
    "*.tokens",
    "data.name",
    "task.start",
    "train.start_from",
  ),
}
# Value -> fields that do not take it, though they take its neighbours.
ENDS = {
  1: (
    *("evaluate.num_samples", "process.steps", "quantizer.codes"),
    "task.levels",
    *("*optimizer.b1", "*optimizer.b2", "optimizer.ema_decay"),
    *("augmentation.beta_max", "model.*dropout", "quantizer.decay"),
    *("task.image_share", "task.smoothing"),
  ),
  3: ("task.latent_downscale",),
  1e-30: ("task.delta_ratio", "task.sigma_h"),
}
# Sizes of networks, which have a largest value of their own.
BOUNDED = (
  *("*.base", "*.blocks", "*.channels", "*.heads", "*.multipliers"),
  *("*.latent_channels", "*layers", "*width", "quantizer.codes"),
)
# Fields that a sentence names without their section.
BARE = ("evaluate.metrics", "task.context", "task.perceptual")


def some_configs():
  """(config, shape of images): one of every class that a config can fill."""
  for file, argument in drawn.tiny_cases():
    plain = drawn.complete(file, argument)
    shape = SHAPES[plain["data"]["name"]]
    for variant in ({}, *drawn.VARIANTS[plain["task"]["name"]]):
      raw, _ = drawn.varied(copy.deepcopy(plain), variant)
      if "adversarial" in raw["task"]:
        # Otherwise nobody looks at the discriminator.
        raw["task"]["adversarial"] = True
      yield raw, shape


def owners():
  """(section, class) -> a config that has it, shape, fields it cannot set."""
  found = {}
  for raw, shape in some_configs():
    schemas = filling.schemas_of(raw)
    for section, (cls, given) in schemas.items():
      found.setdefault((section, cls), (raw, shape, given))
  return found


OWNERS = owners()


def outside(hint, present):
  """Values of a field that are no choice, no number or of another type.

  Args:
    hint: its type.
    present: its value; other entries of a tuple stay.
  """
  if typing.get_origin(hint) is typing.Annotated:
    return outside(typing.get_args(hint)[0], present)
  if typing.get_origin(hint) is typing.Literal:
    return ("nonsense", 3, None)
  if typing.get_origin(hint) is tuple:
    entries = outside(typing.get_args(hint)[0], None)
    return (*((value, *present[1:]) for value in entries), 3, "x", None)
  if fields.allows_none(hint):
    kind = typing.get_args(hint)[0]
    return tuple(v for v in outside(kind, None) if v is not None)
  numbers = (math.nan, math.inf, -math.inf)
  return {
    bool: (2, "x", None),
    dict: (3, None),
    float: (-1.0, 0.0, 1e30, *numbers, "x", True, None),
    int: (-1, 0, HUGE, 2**40, 2.5, *numbers, "x", True, None),
    str: ("nonsense", 3, None),
  }[hint]


def make(raw, shape):
  """Makes of a config what a run does before anything is compiled."""
  config = parsing.parse(raw)
  traced_tasks.optimizer(config, config.make_task(shape))


@functools.cache
def answers(section, cls):
  """(field, value, what is raised or None) of every field and value."""
  raw, shape, given = OWNERS[section, cls]
  make(raw, shape)
  hints = fields.types_of(cls)
  names = list(fields.named_fields(cls, given))
  if section in filling.NAMED:
    names, hints = [*names, "name"], hints | {"name": str}
  found = []
  for name in names:
    path = f"{section}.{name}"
    values = outside(hints[name], raw[section].get(name, ()))
    ends = [
      value
      for value, patterns in ENDS.items()
      if any(fnmatch.fnmatch(path, p) for p in patterns)
    ]
    for value in (*values, *ends):
      changed = raw | {section: raw[section] | {name: value}}
      try:
        make(changed, shape)
        said = None
      except Exception as error:
        said = error
      found.append((path, value, said))
  return found


def first(value):
  """The value, or the first one of a tuple."""
  return value[0] if isinstance(value, tuple) and value else value


def exception(path, value):
  """The entry of `TAKEN` for a value of a field, or None."""
  for taken, patterns in TAKEN.items():
    if type(first(value)) is not bool and first(value) == taken:
      return next((p for p in patterns if fnmatch.fnmatch(path, p)), None)


def is_named(path, said):
  section, name = path.split(".")
  bare = any(fnmatch.fnmatch(path, p) for p in BARE)
  called = section if name == "name" else name.removesuffix("s")
  return path in said or ((bare or name == "name") and called in said)


def mistakes(section, cls):
  """Lists what is taken, or refused in other words, and should not be."""
  found = []
  for path, value, said in answers(section, cls):
    if said is None:
      if exception(path, value) is None:
        found.append((path, value, "is taken"))
      continue
    # Not only because it does not fit something else.
    large = first(value) == HUGE and any(
      fnmatch.fnmatch(path, p) for p in BOUNDED
    )
    bounded = not large or re.search(r" to \d+|at most", str(said))
    named = is_named(path, str(said)) and bounded
    refused = isinstance(said, errors.UserError) and drawn.is_sentence(said)
    if not refused or not named:
      found.append((path, value, repr(said)))
  return found


@pytest.mark.parametrize(
  ("section", "cls"), OWNERS, ids=[f"{s}-{c.__name__}" for s, c in OWNERS]
)
def test_values_outside_their_range_are_refused(section, cls):
  assert not mistakes(section, cls)


def test_every_class_that_a_config_can_fill_is_tested():
  tested = set(OWNERS)
  for task in tasks.TABLE.values():
    assert ("task", task) in tested
    hints = fields.types_of(task)
    for section in set(tasks.SECTIONS) & set(hints):
      named = filling.NAMED.get(section, {0: hints[section]})
      assert {(section, cls) for cls in named.values()} <= tested


def test_no_exception_is_out_of_date():
  needed = {
    (first(value), exception(path, value))
    for owner in OWNERS
    for path, value, said in answers(*owner)
    if said is None
  }
  listed = {(value, p) for value, patterns in TAKEN.items() for p in patterns}
  assert listed == needed
  fields = {path for owner in OWNERS for path, _, _ in answers(*owner)}
  for patterns in ENDS.values():
    assert all(fnmatch.filter(fields, p) for p in patterns)
