"""Whatever a config is changed to: it works, or is refused with a sentence.

Configs of all files get random values, in the file and on the command line.
Each is refused with a sentence that names a field that was changed, or has the
value in use that was given, and all that training and sampling compile can be
traced, with the shapes that the config promises.
"""

import ast

import jax
import numpy as np
import pytest
from absl import flags
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pseudovideo import augmentations, data, errors, tasks
from pseudovideo.config import comparing, filling, parsing
from pseudovideo.terminal import command_line
from tests import traced_tasks
from tests.config import drawn_configs as drawn
from tests.shapes import SHAPES

TINY = drawn.tiny_cases()
ALL = drawn.all_cases()
TEXTS = (
  *("", " ", "3", " 3", "+3", "-1", "007", "1_000", "0x10", "1e3", "3.0"),
  *("3.7", ".5", "nan", "inf", "1e400", "True", "true", "yes", "1", "0", "no"),
  *("None", "x", "'x'", "()", "(1,)", "(1)", "1,2", "(1, 2.5)", "[1,2]", "1,"),
  *("(True,False)", "('middle',)", "middle", "(1,(2,))", "(", "(1,", "a\nb"),
  *("é", "9" * 30, "9" * 5000, "x" * 2000, "=", "%s", "{", "1 2", "1+1", "\\"),
)
ARGUMENTS = ("dataset", "frames", "preset", "network", "encoder", "order", "x")
CHOICES = (
  *("", "digits", "mnist", "cifar10", "celeb_a", "folder:x", "videos:x"),
  *("videos:x?size=8", "videos:x?size=8&frames=5", "videos:?size=-1", "tiny"),
  *("small", "paper", "1", "4", "5", "8", "-1", "1.0", "iv_vae", "tae", "next"),
  *("image", "masked", "heat", "learned", "é", "a\nb", "y" * 2000),
)


def examples(number):
  """The same ones in every run."""
  return settings(
    max_examples=number,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
  )


def shape_of(argument):
  """(H, W, C) of the data set in the argument of a config file."""
  for name, shape in SHAPES.items():
    if f"dataset={name}" in argument:
      return shape
  return SHAPES["digits"]


def checked(change):
  """Config, task and optimizer after all checks; None if it was refused."""
  file, argument, raw, changes = change
  try:
    config = parsing.parse(raw)
    if config.data.name not in drawn.DATASETS:
      data.load(config.data.name)
    task = config.make_task(shape_of(argument))
    return config, task, traced_tasks.optimizer(config, task)
  except errors.UserError as error:
    assert drawn.is_sentence(error), error
    assert any(named(error, *each) for each in changes.items()), (
      file,
      changes,
      error,
    )


def named(error, path, value):
  """Whether a sentence says which field is meant.

  `name` is called by its section, and a data set by what it is.
  """
  section, name = path
  called = section if name == "name" else name.removesuffix("s")
  return called in str(error) or (
    section == "data" and str(value) in str(error)
  )


def in_use(config, task, section, name):
  """What a field became."""
  if section in ("data", "optimizer", "train", "evaluate"):
    return getattr(getattr(config, section), name)
  owner = task if section == "task" else getattr(task, section)
  if name != "name":
    return getattr(owner, name)
  table = tasks.TABLE if section == "task" else filling.NAMED[section]
  return next(key for key, cls in table.items() if type(owner) is cls)


def refused_or_in_use(change):
  found = checked(change)
  if found is None:
    return
  for (section, name), value in change[-1].items():
    expected = tuple(value) if isinstance(value, list) else value
    if value is None and f"{section}.{name}" in comparing.FROM_DATA:
      expected = found[1].image_shape[-1]
    assert in_use(*found[:2], section, name) == expected


def refused_or_traced(change):
  found = checked(change)
  if found is None:
    return
  try:
    traced_tasks.trace(*found)
  except errors.UserError as error:
    # Of what is read at the start, such as a run that is not there.
    assert drawn.is_sentence(error), error


@examples(200)
@given(drawn.changed(ALL, traced=False))
def test_a_value_is_in_use_or_refused(change):
  refused_or_in_use(change)


@pytest.mark.slow("thousands of drawn values")
@examples(5000)
@given(drawn.changed(ALL, traced=False))
def test_a_value_is_in_use_or_refused_at_length(change):
  refused_or_in_use(change)


@examples(8)
@given(drawn.changed(TINY, traced=True))
def test_what_is_not_refused_can_be_traced(change):
  refused_or_traced(change)


@pytest.mark.slow("traces the network of every drawn config")
@examples(400)
@given(drawn.changed(TINY, traced=True))
def test_what_is_not_refused_can_be_traced_at_length(change):
  refused_or_traced(change)


def literal(text):
  try:
    return ast.literal_eval(text.strip())
  except (SyntaxError, ValueError):
    return None


def meant(text, value):
  """Whether `value`, of a config's JSON, is what `text` says."""
  if isinstance(value, list):
    value = tuple(value)
  if value is None:
    return text == "None"
  if isinstance(value, bool):
    return text.lower() in (("true", "1") if value else ("false", "0"))
  if isinstance(value, int):
    return value in (literal(text), int(text, 10 if "x" not in text else 16))
  if isinstance(value, float):
    return repr(value) == repr(float(text))
  if isinstance(value, tuple):
    said = literal(text)
    said = text if said is None else said
    return value == (tuple(said) if isinstance(said, tuple | list) else (said,))
  return value == text


def refused_or_meant(case, field, text):
  """An override on the command line."""
  file, argument = case
  raw = drawn.complete(file, argument)
  found = [f for f in drawn.fields(raw, False) if f[1] in raw[f[0]]]
  section, name = found[field % len(found)]
  argv = [
    f"--config={drawn.FILES[file].__file__}:{argument}",
    f"--config.{section}.{name}={text}",
  ]
  try:
    config = command_line.parse(argv, flags.FlagValues())
  except errors.UserError as error:
    assert drawn.is_sentence(error), error
    assert named(error, (section, name), text), error
    return
  assert meant(text, config.raw[section][name])


OVERRIDES = (
  st.sampled_from(TINY),
  st.integers(0, 10**6),
  st.sampled_from((*TEXTS, *drawn.NAMES)),
)


@examples(100)
@given(*OVERRIDES)
def test_an_override_is_what_it_says_or_refused(case, field, text):
  refused_or_meant(case, field, text)


@pytest.mark.slow("thousands of drawn overrides")
@examples(2000)
@given(*OVERRIDES)
def test_an_override_is_what_it_says_or_refused_at_length(case, field, text):
  refused_or_meant(case, field, text)


@examples(200)
@given(
  st.sampled_from(sorted(drawn.FILES)),
  st.lists(
    st.tuples(st.sampled_from(ARGUMENTS), st.sampled_from(CHOICES)), max_size=4
  ),
)
def test_an_argument_of_a_config_file_is_known_or_refused(file, parts):
  argument = ",".join(f"{name}={value}" for name, value in parts)
  spec = f"{drawn.FILES[file].__file__}:{argument}"
  try:
    parsed = command_line.load_config(spec)
  except errors.UserError as error:
    assert drawn.is_sentence(error), error
    return
  chosen = dict(parts)
  assert parsed.data.name.startswith(chosen.get("dataset", "digits"))
  if "frames" in chosen and "augmentation" in parsed.raw:
    assert parsed.raw["augmentation"]["frames"] == int(chosen["frames"])


def augmentation_fields():
  """Name and fields of an augmentation, mostly ones that work."""
  numbers = st.sampled_from((0, 1e-30, 1e-4, 0.01, 0.05, 0.5, 0.9, 1, 20, 1e37))

  def fields(name):
    kind = augmentations.TABLE[name]
    found = {"frames": st.sampled_from((1, 2, 3, 5, 17))}
    for field in kind.__dataclass_fields__:
      if field == "padding":
        found[field] = st.sampled_from(("reflect", "circular"))
      elif field != "frames":
        found[field] = numbers
    return st.tuples(st.just(name), st.fixed_dictionaries(found))

  return st.sampled_from(sorted(augmentations.TABLE)).flatmap(fields)


def ends_with_the_image(name, fields):
  """With its numbers, on images of 6x9 pixels."""
  try:
    augmentation = augmentations.make(name, **fields)
  except errors.UserError as error:
    assert drawn.is_sentence(error), error
    return
  images = np.random.default_rng(0).random((2, 6, 9, 1), np.float32)
  shape = (2, augmentation.frames, 6, 9, 1)
  if name == "identity" and augmentation.frames > 1:
    images = np.broadcast_to(images[:, None], shape)
  video = np.asarray(jax.jit(augmentation)(images, key=jax.random.key(0)))
  assert video.shape == shape and np.isfinite(video).all()
  last = images if images.ndim == 4 else images[:, -1]
  np.testing.assert_array_equal(video[:, -1], last)


@examples(15)
@given(augmentation_fields())
def test_a_pseudo_video_ends_with_the_image(drawn_fields):
  ends_with_the_image(*drawn_fields)


@pytest.mark.slow("thousands of drawn videos")
@examples(150)
@given(augmentation_fields())
def test_a_pseudo_video_ends_with_the_image_at_length(drawn_fields):
  ends_with_the_image(*drawn_fields)
