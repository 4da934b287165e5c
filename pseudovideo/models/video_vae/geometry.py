"""Sizes of the videos that a video VAE takes, and sizes inside it."""

from collections.abc import Sequence

from pseudovideo import errors


def temporal_factor(temporal: Sequence[bool]) -> int:
  """Frames of a group: a factor of 2 for each level that halves time."""
  return 2 ** sum(temporal)


def group_sizes(temporal: Sequence[bool]) -> tuple[int, ...]:
  """Frames of a group at every level, 1 behind the last halving.

  Args:
    temporal: whether time is halved behind level 0, 1, ..., the last but one.

  Returns:
    One number per level: a factor of 2 for each halving still ahead.
  """
  levels = range(len(temporal) + 1)
  return tuple(temporal_factor(temporal[level:]) for level in levels)


def halved(frames: int, times: int) -> int:
  """The frames left after `times` halvings, each rounded up.

  This is what convolutions with kernel 3, stride 2 and one frame of padding at
  each end leave.
  """
  return -(-frames // 2**times)


def check_levels(multipliers: Sequence[int], temporal: Sequence[bool]) -> None:
  """Refuses flags that are not one for each step between levels.

  Args:
    multipliers: factors of the base width, one per level.
    temporal: whether time is halved behind each level but the last.

  Raises:
    UserError: another number of flags.
  """
  if len(temporal) != len(multipliers) - 1:
    raise errors.UserError(
      "model.temporal needs one flag fewer than model.multipliers has levels,"
      f" {len(multipliers) - 1}; got {temporal}."
    )


def check_frames(frames: int, factor: int, first: bool = True) -> None:
  """Refuses a number of frames that does not end with a whole group.

  Args:
    frames: frames of a clip or of a chunk of it.
    factor: frames of a group.
    first: whether the clip's frame 0, a group of its own, is among them.

  Raises:
    UserError: names the legal numbers next to `frames`.
  """
  least = 1 if first else factor
  legal = _nearest(frames, least, factor)
  if frames not in legal:
    rule = f"1 + {factor} n frames" if first else f"{factor} n frames, n > 0"
    what = "A clip" if first else "A chunk behind the first"
    raise errors.UserError(
      f"{what} has {rule} with the model.temporal of this video VAE; got "
      f"{frames}: use {_either(legal)}."
    )


def check_sides(height: int, width: int, factor: int) -> None:
  """Refuses sides, in pixels, that the spatial factor does not divide.

  Raises:
    UserError: names the legal sides next to the one that is wrong.
  """
  for name, side in (("height", height), ("width", width)):
    legal = _nearest(side, factor, factor)
    if side not in legal:
      raise errors.UserError(
        f"The {name} of frames must be a multiple of {factor} with the "
        f"model.multipliers of this video VAE; got {side}: use "
        f"{_either(legal)}."
      )


def rates_below(rates: Sequence[int], side: int) -> tuple[int, ...]:
  """The dilations whose outer taps see more than padding on `side` pixels."""
  return tuple(rate for rate in rates if rate < side)


def _nearest(value, least, step):
  """The legal numbers next to `value` among least, least + step, ..."""
  below = value - (value - least) % step
  return [legal for legal in (below, below + step) if legal >= least]


def _either(numbers):
  return " or ".join(map(str, numbers))
