"""The check of array annotations: on in tests, never in a user's program."""

import contextlib
from collections.abc import Iterator

import beartype
import jaxtyping

# Where the shapes of arrays are the interface.
ROOMS = (
  "augmentations",
  "models",
  "losses",
  "diffusion",
  "samplers",
  "metrics",
)
# An int may stand where a float is declared.
check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))


def install() -> None:
  """Checks the annotations of `ROOMS` in whatever is imported after it."""
  jaxtyping.install_import_hook(
    [f"pseudovideo.{room}" for room in ROOMS], "tests.annotations.check"
  )


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
  """Switches the check off, to see what a user is told of such arguments."""
  before = jaxtyping.config.jaxtyping_disable
  jaxtyping.config.update("jaxtyping_disable", True)
  try:
    yield
  finally:
    jaxtyping.config.update("jaxtyping_disable", before)
