"""Images as the ids of a trained tokenizer, for models of tokens.

A data set is encoded once; `cached` keeps the result in the cache. A folder of
tokens, written by `python -m pseudovideo.tokenize`, holds

  train_ids.npy     (N, t, h, w), the smallest unsigned integers that hold K - 1
  train_labels.npy  (N,) int32, where the data set has labels
  test_ids.npy      the same for held-out images
  test_labels.npy
  codebook.npy      (K, D) float32, the vectors of the codes
  meta.json         where they come from, and the SHA-256 of every file

and names the tokenizer by the hash of its parameters, so that ids are never
decoded with another one.
"""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from pseudovideo import data, errors
from pseudovideo.data import cache
from pseudovideo.first_stages import tokens
from pseudovideo.runs import results
from pseudovideo.terminal import progress_bar

SPLITS = ("train", "test")
HASH_DIGITS = 12
"""Number of digits of a hash that messages quote."""
REQUIRED = {"train_ids", "test_ids", "codebook"}


@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
  """A data set in the ids of a tokenizer; arrays are memory-mapped, read-only.

  Attributes:
    train_ids: (N, t, h, w) unsigned integers in 0 .. K - 1.
    train_labels: (N,) int32, or None.
    test_ids: the ids of held-out images, like `train_ids`.
    test_labels: the labels of held-out images, like `train_labels`.
    codebook: (K, D) float32, the vectors that the decoder takes.
    tokenizer: its hash, see `tokenizer_hash`.
    about: where they come from, see `write`.
  """

  train_ids: np.ndarray
  train_labels: np.ndarray | None
  test_ids: np.ndarray
  test_labels: np.ndarray | None
  codebook: np.ndarray
  tokenizer: str
  about: dict[str, Any]

  @property
  def num_codes(self) -> int:
    """K."""
    return len(self.codebook)

  @property
  def grid_shape(self) -> tuple[int, int, int]:
    """(t, h, w) of the ids of an image."""
    return self.train_ids.shape[1:]


def cached(
  coder: tokens.Coder, image_set: data.ImageSet, *, batch_size: int
) -> dict[str, np.ndarray]:
  """The ids of both splits, encoded once and then found in the cache.

  Args:
    coder: trained tokenizer that encodes.
    image_set: what is encoded, pseudo videos with the seed 0.
    batch_size: images at a time.

  Returns:
    `train` and `test`, (N, t, h, w) unsigned integers, memory-mapped.

  Raises:
    UserError: the cache cannot be written.
  """
  made_from = {
    "tokenizer": tokens.tokenizer_hash(coder),
    "data": image_set.fingerprint,
    "packages": results.provenance()["packages"],
  }

  def build(new_array: cache.NewArray) -> None:
    num = sum(len(getattr(image_set, f"{split}_images")) for split in SPLITS)
    progress = progress_bar.Progress(
      num, description=f"encoding {image_set.name}"
    )
    encode_splits(
      coder,
      image_set,
      new_array,
      batch_size=batch_size,
      progress=progress.update,
    )
    progress.close()

  arrays, _ = cache.load(
    f"{image_set.name}-tokens",
    made_from,
    build,
    kind="tokens",
    making="Encoding",
  )
  return arrays


def encode_splits(
  coder: tokens.Coder,
  image_set: data.ImageSet,
  new_ids: cache.NewArray,
  *,
  batch_size: int,
  seed: int = 0,
  progress: tokens.Progress = lambda done: None,
) -> None:
  """Encodes both splits into arrays of the smallest type that holds them.

  Args:
    coder: trained tokenizer that encodes.
    image_set: what is encoded.
    new_ids: (split, shape, dtype) -> the array to be filled.
    batch_size: see `encode`.
    seed: see `encode`.
    progress: called with the number of images done.
  """
  dtype, done = np.min_scalar_type(coder.task.num_codes - 1), 0

  def report(count: int) -> None:
    progress(done + count)

  for split in SPLITS:
    images = getattr(image_set, f"{split}_images")
    tokens.encode(
      coder,
      images,
      batch_size=batch_size,
      seed=seed,
      out=new_ids(split, (len(images), *coder.task.grid_shape), dtype),
      progress=report,
    )
    done += len(images)


def write(
  run: Any,
  folder: str | os.PathLike,
  *,
  progress: tokens.Progress = lambda done: None,
) -> bool:
  """Encodes both splits of the run's data set into a folder.

  `about`, which `load` returns, holds `data`, `seed` of the pseudo videos,
  `tokenizer` (`hash`, `step` and `config`), `frames`, `patch`, `grid_shape`,
  `codes`, `width`, and the versions of `packages`.

  Args:
    run: the `runs.Run` of a tokenizer.
    folder: a folder that does not exist, is empty, or holds these very tokens.
    progress: called with the number of images done.

  Returns:
    Whether anything was written: False where the folder holds them already.

  Raises:
    UserError: the folder holds other things, or cannot be written.
  """
  folder = pathlib.Path(folder)
  about = _about(run)
  if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
    _check_same(load(folder), about, folder)
    return False
  try:
    cache.write(folder, lambda new: _fill(run, new, progress), about)
  except FileExistsError as error:
    raise errors.UserError(
      f"Something else was written to {folder} meanwhile; choose another --out."
    ) from error
  return True


def load(folder: str | os.PathLike, *, tokenizer: str | None = None) -> Tokens:
  """The tokens of a folder, after every byte was checked.

  Args:
    folder: a folder that `write` made.
    tokenizer: hash of the tokenizer that they must be of; None takes any.

  Raises:
    UserError: there are none, they are not what was written, or they are of
      another tokenizer.
  """
  folder = pathlib.Path(folder)
  if not (folder / "meta.json").exists():
    raise errors.UserError(
      f"{folder} holds no tokens; write them with python -m "
      "pseudovideo.tokenize, to a folder that is new."
    )
  try:
    arrays, facts = cache.read(folder)
  except cache.DamagedError as damage:
    raise errors.UserError(
      f"The tokens in {folder} are damaged ({damage}); remove the folder and "
      "write it again with python -m pseudovideo.tokenize."
    ) from damage
  about = facts["about"]
  described = about.get("tokenizer")
  found = described.get("hash") if isinstance(described, dict) else None
  if not isinstance(found, str) or not arrays.keys() >= REQUIRED:
    raise errors.UserError(
      f"{folder} holds arrays that are no tokens: {', '.join(sorted(arrays))}; "
      "give a folder that python -m pseudovideo.tokenize wrote."
    )
  if tokenizer not in (None, found):
    raise errors.UserError(
      f"The tokens in {folder} are of the tokenizer {found[:HASH_DIGITS]}, not "
      f"of {tokenizer[:HASH_DIGITS]}; encode the data set with the one that is "
      "to decode them."
    )
  return Tokens(
    train_ids=arrays["train_ids"],
    train_labels=arrays.get("train_labels"),
    test_ids=arrays["test_ids"],
    test_labels=arrays.get("test_labels"),
    codebook=arrays["codebook"],
    tokenizer=found,
    about=about,
  )


def check_data(
  found: Tokens, image_set: data.ImageSet, folder: str | os.PathLike
) -> None:
  """Refuses tokens that are not of the images of a data set.

  Args:
    found: tokens from `load`.
    image_set: whose tokens they should be.
    folder: where they are.

  Raises:
    UserError: they are of another data set.
  """
  if found.about["data"]["fingerprint"] != image_set.fingerprint:
    raise errors.UserError(
      f"{folder} holds tokens of {found.about['data']['name']}, not of the "
      f"images of data.name, {image_set.name}; write them "
      "with python -m pseudovideo.tokenize."
    )


def _about(run: Any) -> dict[str, Any]:
  """The origin of a run's tokens."""
  task = run.task
  return {
    "data": {
      "name": run.image_set.name,
      "fingerprint": run.image_set.fingerprint,
    },
    "seed": run.config.evaluate.seed,
    "tokenizer": {
      "hash": tokens.tokenizer_hash(run),
      "step": run.step,
      "config": run.config.raw,
    },
    "frames": task.model.frames,
    "patch": list(task.model.patch),
    "grid_shape": list(task.grid_shape),
    "codes": task.num_codes,
    "width": task.model.width,
    "packages": results.provenance()["packages"],
  }


def _check_same(
  found: Tokens, about: dict[str, Any], folder: pathlib.Path
) -> None:
  """Refuses a folder whose tokens are not as `about` describes them."""
  facts = {
    "tokenizer": (found.tokenizer, about["tokenizer"]["hash"]),
    "data set": (
      found.about["data"]["fingerprint"],
      about["data"]["fingerprint"],
    ),
    "seed": (found.about["seed"], about["seed"]),
  }
  for what, (old, new) in facts.items():
    if old != new:
      raise errors.UserError(
        f"{folder} holds the tokens of another {what}, "
        f"{str(old)[:HASH_DIGITS]} instead of {str(new)[:HASH_DIGITS]}; choose "
        "another --out, or remove it."
      )


def _fill(
  run: Any, new_array: cache.NewArray, progress: tokens.Progress
) -> None:
  """Makes the arrays of a folder; see `cache.load` for `new_array`."""
  vectors = tokens.codebook(run)
  new_array("codebook", vectors.shape, np.float32)[:] = vectors
  encode_splits(
    run,
    run.image_set,
    lambda split, *what: new_array(f"{split}_ids", *what),
    batch_size=run.config.evaluate.batch_size,
    seed=run.config.evaluate.seed,
    progress=progress,
  )
  for split in SPLITS:
    labels = getattr(run.image_set, f"{split}_labels")
    if labels is not None:
      new_array(f"{split}_labels", labels.shape, np.int32)[:] = labels
