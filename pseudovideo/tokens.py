"""Images as the ids of a trained tokenizer, for models of tokens.

A data set is encoded once, for `cached` into the cache. A folder of tokens,
written by `python -m pseudovideo.tokenize`, holds

  train_ids.npy     (N, t, h, w), the smallest unsigned integers that hold K - 1
  train_labels.npy  (N,) int32, where the data set has labels
  test_ids.npy      as these, of held-out images
  test_labels.npy
  codebook.npy      (K, D) float32, the vectors of the codes
  meta.json         where they come from, and the SHA-256 of every file

and names the tokenizer by the hash of its parameters, so that ids are never
decoded with another one.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import flax
import jax
import jax.numpy as jnp
import numpy as np

from pseudovideo import data, errors, keys, results, sharding, writer
from pseudovideo.data import cache

SPLITS = ("train", "test")
CODING = ("network", "quantizer")
"""The parameters that encode and decode; others only serve the training."""
HASH_DIGITS = 12
REQUIRED = {"train_ids", "test_ids", "codebook"}
"""So many digits of a hash are quoted in sentences."""
BLOCK = 4096

Progress = Callable[[int], None]


class Coder(Protocol):
  """A trained tokenizer, such as a `runs.Run` of one.

  Attributes:
    task: of `video_tokenizer`.
    params: its averaged weights.
    extra: its state.
  """

  task: Any
  params: Any
  extra: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
  """A data set in the ids of a tokenizer; arrays are memory-mapped, read-only.

  Attributes:
    train_ids: (N, t, h, w) unsigned integers in 0 .. K - 1.
    train_labels: (N,) int32, or None.
    test_ids: as `train_ids`, of held-out images.
    test_labels: as `train_labels`.
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


def encode(
  coder: Coder,
  images: np.ndarray,
  *,
  batch_size: int,
  seed: int = 0,
  out: np.ndarray | None = None,
  progress: Progress = lambda done: None,
) -> np.ndarray:
  """Ids of images, `batch_size` at a time over all devices.

  Args:
    coder: which tokenizer.
    images: (N, H, W, C) uint8, in memory or memory-mapped.
    batch_size: changes no id.
    seed: of pseudo videos that have random numbers; those of an image depend on
      its place too.
    out: (N, t, h, w) integers to be filled; by default a new int32 array.
    progress: called with the number of images done.

  Returns:
    `out`.
  """
  if out is None:
    out = np.empty((len(images), *coder.task.grid_shape), np.int32)
  for rows, ids in sharding.in_batches(
    lambda params, extra, batch, key: coder.task.encode(
      params, extra, batch, key=key
    ),
    coder.params,
    coder.extra,
    images,
    key=keys.named(jax.random.key(seed), "encode"),
    batch_size=batch_size,
  ):
    out[rows] = ids
    progress(rows.stop)
  return out


def usage(ids: np.ndarray, codes: int) -> dict[str, Any]:
  """How much of a codebook of `codes` entries the ids use.

  Returns:
    `codes`; `codes_used`, how many occur at all; `perplexity`, the exponential
    of the entropy (nats) of their frequencies, from 1 to `codes`; `tokens`, how
    many there are for one image.
  """
  # In blocks, because `bincount` makes every id 8 bytes wide.
  counts = np.zeros(codes, np.int64)
  for start in range(0, len(ids), BLOCK):
    block = ids[start : start + BLOCK]
    counts += np.bincount(block.reshape(-1), minlength=codes)
  frequency = counts[counts > 0] / counts.sum()
  entropy = -np.sum(frequency * np.log(frequency))
  return {
    "codes": codes,
    "codes_used": int((counts > 0).sum()),
    "perplexity": float(np.exp(entropy)),
    "tokens": int(np.prod(ids.shape[1:])),
  }


def codebook(coder: Coder) -> np.ndarray:
  """The vectors of all codes of a tokenizer, (K, D) float32."""
  ids = jnp.arange(coder.task.num_codes)
  vectors = jax.jit(coder.task.vectors)(coder.params, coder.extra, ids)
  return np.asarray(vectors, np.float32)


def tokenizer_hash(coder: Coder) -> str:
  """SHA-256 (hexadecimal) of all that encodes and decodes.

  That is the network, the quantizer's parameters and the codebook, under the
  averaged weights; the discriminator is no part of it.
  """
  found = {name: coder.params[name] for name in CODING if name in coder.params}
  arrays = flax.traverse_util.flatten_dict(jax.device_get(found), sep="/")
  return cache.fingerprint({**arrays, "codebook": codebook(coder)})


def cached(
  coder: Coder, image_set: data.ImageSet, *, batch_size: int
) -> dict[str, np.ndarray]:
  """The ids of both splits, encoded once and then found in the cache.

  Args:
    coder: which tokenizer.
    image_set: what is encoded, pseudo videos with the seed 0.
    batch_size: images at a time.

  Returns:
    `train` and `test`, (N, t, h, w) unsigned integers, memory-mapped.

  Raises:
    UserError: the cache cannot be written.
  """
  made_from = {
    "tokenizer": tokenizer_hash(coder),
    "data": image_set.fingerprint,
    "packages": results.provenance()["packages"],
  }

  def build(new_array: cache.NewArray) -> None:
    num = sum(len(getattr(image_set, f"{split}_images")) for split in SPLITS)
    progress = writer.Progress(num, description=f"encoding {image_set.name}")
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
  coder: Coder,
  image_set: data.ImageSet,
  new_ids: cache.NewArray,
  *,
  batch_size: int,
  seed: int = 0,
  progress: Progress = lambda done: None,
) -> None:
  """Encodes both splits into arrays of the smallest type that holds them.

  Args:
    coder: which tokenizer.
    image_set: what is encoded.
    new_ids: (split, shape, dtype) -> the array to be filled.
    batch_size: see `encode`.
    seed: see `encode`.
    progress: called with the number of images done.
  """
  dtype, done = np.min_scalar_type(coder.task.num_codes - 1), 0
  for split in SPLITS:
    images = getattr(image_set, f"{split}_images")
    encode(
      coder,
      images,
      batch_size=batch_size,
      seed=seed,
      out=new_ids(split, (len(images), *coder.task.grid_shape), dtype),
      progress=lambda count, before=done: progress(before + count),
    )
    done += len(images)


def write(
  run: Any,
  folder: str | os.PathLike,
  *,
  progress: Progress = lambda done: None,
) -> bool:
  """Encodes both splits of the run's data set into a folder.

  Of `about`, that `load` returns: `data`, `seed` of the pseudo videos,
  `tokenizer` (`hash`, `step` and `config`), `frames`, `patch`, `grid_shape`,
  `codes`, `width`, and the versions of `packages`.

  Args:
    run: the `runs.Run` of a tokenizer.
    folder: does not exist, is empty, or holds these very tokens.
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
    folder: that `write` made.
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


def _about(run: Any) -> dict[str, Any]:
  """Where the tokens of a run come from."""
  task = run.task
  return {
    "data": {
      "name": run.image_set.name,
      "fingerprint": run.image_set.fingerprint,
    },
    "seed": run.config.evaluate.seed,
    "tokenizer": {
      "hash": tokenizer_hash(run),
      "step": run.step,
      "config": run.raw,
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
  """Refuses a folder with other tokens than those that `about` describes."""
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


def _fill(run: Any, new_array: cache.NewArray, progress: Progress) -> None:
  """Makes the arrays of a folder; see `cache.load` for `new_array`."""
  vectors = codebook(run)
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
