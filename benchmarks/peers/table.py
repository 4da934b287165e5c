"""The rows of the benchmark, and the packages that each needs."""

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

PACKAGES = {
  "torch": "torch",
  "phenaki_pytorch": "phenaki-pytorch",
  "x_transformers": "x-transformers",
  "torch_fidelity": "torch-fidelity",
}
"""Modules -> the packages that have them, the extra `peers`."""


class Row(NamedTuple):
  """One network, and what is done with it.

  Attributes:
    module: module of this package whose `make` makes the pairs.
    arguments: arguments of `make`.
    needs: modules of `PACKAGES` besides torch.
  """

  module: str
  arguments: tuple[Any, ...] = ()
  needs: tuple[str, ...] = ()

  def make(self) -> dict[str, Any]:
    """The pairs by name; imports torch."""
    module = importlib.import_module(f"benchmarks.peers.{self.module}")
    return module.make(*self.arguments)


ROWS = {
  "image_32": Row("unets", ("image_32",)),
  "image_128": Row("unets", ("image_128",)),
  "video_32": Row("unets", ("video_32",)),
  "video_128": Row("unets", ("video_128",)),
  "tokenizer_8": Row("tokenizer", (False,), ("phenaki_pytorch",)),
  "tokenizer_8_gan": Row("tokenizer", (True,), ("phenaki_pytorch",)),
  "iv_vae": Row("iv_vae"),
  "masked_256": Row("masked_prior", (), ("phenaki_pytorch",)),
  "next_256": Row("next_prior", (), ("x_transformers",)),
  "inception": Row("inception", (), ("torch_fidelity",)),
}


def available(modules: Iterable[str] = PACKAGES) -> set[str]:
  """The modules that are installed; none of them is imported."""
  return {name for name in modules if importlib.util.find_spec(name)}


def missing(
  rows: Mapping[str, Row], installed: set[str]
) -> tuple[dict[str, Row], list[str]]:
  """Leaves out the rows whose packages are not installed.

  Args:
    rows: the rows that are asked for.
    installed: modules that there are.

  Returns:
    The rows that remain, and a sentence for each package that is missing.
  """
  lacking: dict[str, list[str]] = {}
  left = {}
  for name, row in rows.items():
    absent = [x for x in ("torch", *row.needs) if x not in installed]
    for module in absent:
      lacking.setdefault(module, []).append(name)
    if not absent:
      left[name] = row
  return left, [_sentence(*entry) for entry in lacking.items()]


def _sentence(module: str, rows: list[str]) -> str:
  return (
    f"Left out, as the package {PACKAGES[module]} is not installed: "
    f"{', '.join(rows)}; make install EXTRA=peers installs it."
  )
