"""Arrays that a task is given from other runs: frozen weights, tokens.

A task opens no run. It names what it needs in `needs`, and its `init` takes
arrays by these names.
"""

from typing import Any

import jax
import jax.numpy as jnp

from pseudovideo import data, errors
from pseudovideo.first_stages import (
  inflation,
  latents,
  look_up,
  token_files,
)
from pseudovideo.runs import checkpoints
from pseudovideo.tasks import base, first_stage

SCALED_ON = 4096
"""Number of training images, at even distances, for scale and shift."""
SCALED_AT_ONCE = 32


def arrays(task: base.Task, image_set: data.ImageSet) -> dict[str, Any]:
  """The arguments of `task.init` that come from other runs, by name.

  Args:
    task: the task; names what it needs in `needs`.
    image_set: the data set to be trained on.

  Raises:
    UserError: there is no such run, or it is another one than the config's.
  """
  found: dict[str, Any] = {}
  for name in base.needs(task):
    read = errors.look_up("need of tasks", name, READERS)
    found |= read(task, image_set)
  return found


def init(
  task: base.Task, key: jax.Array, image_set: data.ImageSet
) -> tuple[base.Params, base.Extra]:
  """`task.init` with what it needs from other runs; raises as `arrays` does."""
  return task.init(key, image_set, **arrays(task, image_set))


def examples(
  task: Any,
  extra: base.Extra,
  image_set: data.ImageSet,
  *,
  batch_size: int,
) -> base.Examples:
  """The examples that batches are made of.

  They are the images, a tokenizer's tokens, or what the task's own method
  `examples` makes of the images.

  Args:
    task: the task that learns from them.
    extra: the second result of its `init`.
    image_set: the data set.
    batch_size: images at a time, if anything is made of them.

  Raises:
    UserError: `tokenizer.tokens` names tokens of another tokenizer or set.
  """
  if "tokenizer" in base.needs(task):
    return _tokens(task, extra, image_set, batch_size)
  if base.can(task, "examples"):
    return task.examples(extra, image_set, batch_size=batch_size)
  return base.Examples(
    base.IMAGE, image_set.train_images, image_set.test_images
  )


def _tokens(
  task: Any, extra: base.Extra, image_set: data.ImageSet, batch_size: int
) -> base.Examples:
  folder = task.tokenizer.tokens
  if folder:
    found = token_files.load(folder, tokenizer=task.tokenizer.hash)
    token_files.check_data(found, image_set, folder)
    return base.Examples(task.learns, found.train_ids, found.test_ids)
  ids = token_files.cached(
    task.trained(extra), image_set, batch_size=batch_size
  )
  return base.Examples(task.learns, ids["train"], ids["test"])


def weights(
  kind: first_stage.Kind, source: first_stage.Source, coder: base.Task
) -> dict[str, Any]:
  """The frozen weights of a first stage, see `first_stage.Kind.frozen`.

  Args:
    kind: tokenizer or autoencoder.
    source: the section that names its run.
    coder: its task.

  Raises:
    UserError: the folder holds no run, or a run with other weights.
  """
  _, parts, _ = checkpoints.load(source.workdir, parts=("ema", "extra"))
  frozen = kind.frozen(parts["ema"], parts.get("extra", {}))
  frozen = jax.tree.map(jnp.asarray, frozen)
  found = look_up.hash_of(kind, first_stage.trained(coder, frozen))
  if found != source.hash:
    raise errors.UserError(
      f"The {kind.section} in {source.workdir} is no longer the one that "
      "this config was made for; start in a new --workdir."
    )
  return frozen


def _tokenizer(task, image_set) -> dict[str, Any]:
  del image_set
  kind = first_stage.TOKENIZER
  return {kind.section: weights(kind, task.tokenizer, task.coder)}


def _autoencoder(task, image_set) -> dict[str, Any]:
  """The weights, and scale and shift of the latents of training images."""
  kind = first_stage.AUTOENCODER
  frozen = weights(kind, task.autoencoder, task.coder)
  scaling = latents.estimate(
    first_stage.trained(task.coder, frozen),
    data.spread(image_set.train_images, SCALED_ON),
    batch_size=SCALED_AT_ONCE,
  )
  return {kind.section: frozen, "scaling": scaling._asdict()}


def _start(task, image_set) -> dict[str, Any]:
  del image_set
  return {"start": inflation.image_params(task.start)}


READERS = {
  "tokenizer": _tokenizer,
  "autoencoder": _autoencoder,
  "start": _start,
}
