"""Frozen first stages of models of tokens and of latents.

Such a model names a trained run, its first stage. The run's config and the hash
of its weights are part of the model's config, and its weights are saved with
every checkpoint of the model. So the model can be sampled from without the
folder of its first stage, and never with other weights.
`pseudovideo.first_stages` reads them; a task is given arrays.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pseudovideo import errors
from pseudovideo.tasks import base


@dataclasses.dataclass(frozen=True)
class Source:
  """The section of a config that names a first stage.

  Attributes:
    workdir: folder of its run.
    hash: SHA-256 of its weights; filled in when training starts, as is
      `config`.
    config: config of its run.
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
    section: its name in the config, in a model's `extra` and in messages.
    called: its name with the article.
    codes: plural of what it makes of images.
    configs: config file of its runs.
    ability: the ability that its tasks have and other tasks lack; see
      `base.can`.
    params: its parameters that a model keeps; others only serve its training.
    state: names in `base.state_of` that a model keeps.
  """

  section: str
  called: str
  codes: str
  configs: str
  ability: str
  params: tuple[str, ...]
  state: tuple[str, ...]

  def check(self, coder: base.Task, binarize: str) -> None:
    """Refuses images that are binarized otherwise than for the first stage.

    Args:
      coder: the first stage's task.
      binarize: how the images of the model are made black and white.

    Raises:
      UserError: `coder` was trained on images binarized otherwise.
    """
    if binarize != coder.binarize:
      raise errors.UserError(
        f"data.binarize is {binarize!r}, but the {self.section} was trained "
        f"with {coder.binarize!r}; set both to the same."
      )

  def config(self, source: Source) -> dict[str, Any]:
    """The config of the run that `source` names.

    Raises:
      UserError: the run was not looked up.
    """
    if not source.config:
      raise errors.UserError(
        f"The config names {self.called} without its own config, which "
        "pseudovideo.first_stages.look_up fills in from "
        f"{self.section}.workdir."
      )
    return source.config

  def frozen(self, params: base.Params, extra: base.Extra) -> dict[str, Any]:
    """The part of a run's averaged weights and state that a model keeps."""
    kept = {"params": _only(self.params, params)}
    if state := _only(self.state, base.state_of(extra)):
      kept["extra"] = base.make_extra(state=state)
    return kept


def _only(names: Iterable[str], tree: Mapping[str, Any]) -> dict[str, Any]:
  return {name: tree[name] for name in names if name in tree}


def trained(coder: base.Task, frozen: Mapping[str, Any]) -> Trained:
  """A first stage with the weights of `Kind.frozen`."""
  return Trained(coder, frozen["params"], frozen.get("extra", {}))


def kind_of(sections: Iterable[str]) -> Kind | None:
  """The kind whose section is among a config's sections; None if none is."""
  return next((KINDS[name] for name in sections if name in KINDS), None)


TOKENIZER = Kind(
  section="tokenizer",
  called="a tokenizer",
  codes="tokens",
  configs="configs/tokenizer.py",
  ability="encode",
  params=("network", "quantizer"),
  state=("quantizer",),
)
AUTOENCODER = Kind(
  section="autoencoder",
  called="an autoencoder",
  codes="latents",
  configs="configs/video_vae.py",
  ability="posterior",
  params=("network",),
  state=(),
)
KINDS = {kind.section: kind for kind in (TOKENIZER, AUTOENCODER)}
