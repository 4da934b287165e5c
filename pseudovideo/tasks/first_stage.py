"""Frozen first stages: what models of tokens and of latents share.

Such a model names a trained run. The run's config and the hash of its weights
are part of the model's config, its weights are saved with every checkpoint: the
model can be sampled from without the folder of its first stage, and never with
other weights.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pseudovideo import checkpoints, errors, latents, tokens
from pseudovideo.tasks import base


@dataclasses.dataclass(frozen=True)
class Source:
  """The section of a config that names a first stage.

  Attributes:
    workdir: folder of its run.
    hash: of its weights; filled in when training starts, as is `config`.
    config: of its run.
  """

  workdir: str = ""
  hash: str = ""
  config: dict = dataclasses.field(default_factory=dict, hash=False)


class Trained(NamedTuple):
  """A first stage and its weights, as a `runs.Run` has them."""

  task: Any
  params: base.Params
  extra: base.Extra


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of first stages.

  Attributes:
    section: of the config and of a model's `extra`, and its name in sentences.
    called: the name with its article.
    codes: what it makes of images.
    configs: file of configs whose runs are meant.
    method: that its tasks have, and no others.
    params: its parameters that matter; others only serve its training.
    extra: the same of its state.
    hash: takes a `Trained` or a run, returns the SHA-256 of its weights.
  """

  section: str
  called: str
  codes: str
  configs: str
  method: str
  params: tuple[str, ...]
  extra: tuple[str, ...]
  hash: Callable[[Any], str]

  def check(self, coder: base.Task, binarize: str) -> None:
    """Refuses images that are not those that the first stage was trained on.

    Args:
      coder: its task.
      binarize: how the images of the model are made black and white.

    Raises:
      UserError: `coder` was trained on others.
    """
    if binarize != coder.binarize:
      raise errors.UserError(
        f"data.binarize is {binarize!r}, but the {self.section} was trained "
        f"with {coder.binarize!r}; set both to the same."
      )

  def config(self, source: Source) -> dict[str, Any]:
    """That of its run.

    Raises:
      UserError: it was not looked up.
    """
    if not source.config:
      raise errors.UserError(
        f"The config names {self.called} without its own config, which "
        "pseudovideo.first_stages.look_up fills in from "
        f"{self.section}.workdir."
      )
    return source.config

  def read(self, source: Source, coder: base.Task) -> dict[str, Any]:
    """The weights, for a model's `extra` and for `trained`.

    Args:
      source: where the run is.
      coder: its task.

    Raises:
      UserError: there is no run in its folder, or one with other weights.
    """
    _, parts, _ = checkpoints.load(source.workdir, parts=("ema", "extra"))
    kept = {"params": _only(self.params, parts["ema"])}
    if extra := _only(self.extra, parts.get("extra", {})):
      kept["extra"] = extra
    kept = jax.tree.map(jnp.asarray, kept)
    if self.hash(trained(coder, kept)) != source.hash:
      raise errors.UserError(
        f"The {self.section} in {source.workdir} is no longer the one that "
        "this config was made for; start in a new --workdir."
      )
    return kept


def _only(names: Iterable[str], tree: Mapping[str, Any]) -> dict[str, Any]:
  return {name: tree[name] for name in names if name in tree}


def trained(coder: base.Task, kept: Mapping[str, Any]) -> Trained:
  """A first stage with the weights of `Kind.read`."""
  return Trained(coder, kept["params"], kept.get("extra", {}))


def kind_of(sections: Iterable[str]) -> Kind | None:
  """The kind whose section is among those of a config; None if none is."""
  return next((KINDS[name] for name in sections if name in KINDS), None)


TOKENIZER = Kind(
  section="tokenizer",
  called="a tokenizer",
  codes="tokens",
  configs="configs/tokenizer.py",
  method="encode",
  params=tokens.CODING,
  extra=("quantizer",),
  hash=tokens.tokenizer_hash,
)
AUTOENCODER = Kind(
  section="autoencoder",
  called="an autoencoder",
  codes="latents",
  configs="configs/video_vae.py",
  method="posterior",
  params=latents.CODING,
  extra=(),
  hash=latents.autoencoder_hash,
)
KINDS = {kind.section: kind for kind in (TOKENIZER, AUTOENCODER)}
