"""Settings of a probe, apart from what computes it."""

from typing import NamedTuple


class Settings(NamedTuple):
  """Settings of a probe.

  Attributes:
    num: number of videos to fit to, and to score on.
    window: side w of the windows in pixels.
    steps: updates of every network; 0 for no networks.
    networks: number of networks of each pair, with different seeds.
    seed: seed of the corruption.
  """

  num: int = 1000
  window: int = 5
  steps: int = 200
  networks: int = 3
  seed: int = 0
