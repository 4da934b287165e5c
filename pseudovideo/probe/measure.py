"""Errors of one augmentation, as a record that JSON knows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pseudovideo.probe import gains, linear, network, videos
from pseudovideo.probe.settings import Settings

LINEAR, NETWORK = "linear", "network"


def measure(
  made: videos.Videos,
  settings: Settings,
  progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
  """Errors and shares of all frames and numbers of given frames.

  Args:
    made: pseudo videos of both splits.
    settings: numbers of videos, networks and updates.
    progress: called after every pair with a description of it.

  Returns:
    `frames`, `places` and `coefficients` (the numbers that the linear predictor
    with most frames has per channel); `variances` by frame; `predictions`, one
    record per frame (counted from 1) and number of frames `given`; `worth`,
    see `worth`. Estimates are [value, standard error].
  """
  frames = made.train.shape[1]
  predictors = linear.fit(made.train, settings.window)
  left = linear.residuals(predictors, made.test)
  squares = np.stack(
    [np.square(one, dtype=np.float64).mean((1, 2, 3)) for one in left]
  )
  found = {LINEAR: gains.by_image(squares, made.test_images)[:, None]}
  progress("linear predictors of all frames")
  if settings.steps:
    of_networks = _networks(made, predictors, left, settings, progress)
    found[NETWORK] = gains.by_image(of_networks, made.test_images)
  size = settings.window**2 * made.train.shape[-1]
  return {
    "frames": frames,
    "images": found[LINEAR].shape[-1],
    "places": predictors.places,
    "coefficients": (frames - 1) * size + 1,
    "variances": predictors.variances.tolist(),
    "predictions": _predictions(found, frames),
    "worth": {kind: worth(e, frames) for kind, e in found.items()},
  }


def _networks(
  made: videos.Videos,
  predictors: linear.Linear,
  left: np.ndarray,
  settings: Settings,
  progress: Callable[[str], None],
) -> np.ndarray:
  """(P, S, M) errors of the networks of all pairs."""
  of_train = linear.residuals(predictors, made.train)
  found = []
  for i, pair in enumerate(linear.pairs(made.train.shape[1])):
    found.append(
      network.errors(
        made.train,
        made.test,
        (of_train[i], left[i]),
        pair,
        settings.window,
        steps=settings.steps,
        seeds=range(settings.networks),
      )
    )
    progress(f"network of frame {pair[0] + 1} from {pair[1]} before it")
  return np.stack(found)


def _predictions(
  found: dict[str, np.ndarray], frames: int
) -> list[dict[str, Any]]:
  places = {pair: i for i, pair in enumerate(linear.pairs(frames))}
  return [
    {
      "frame": t + 1,
      "given": k,
      **{
        kind: {
          "error": list(gains.mean(e[i])),
          "saved": list(gains.saved([(e[places[t, 1]], e[i])])),
        }
        for kind, e in found.items()
      },
    }
    for (t, k), i in places.items()
  ]


def worth(errors: np.ndarray, frames: int) -> dict[str, list[float]]:
  """The share of the error that frames beyond the previous one save.

  Args:
    errors: (P, S, n), errors of all pairs, S networks and n images.
    frames: number T of frames.

  Returns:
    `mean`: the share saved by all earlier frames, mean over all frames that
    have two or more before them; `last`: the share for the image.
  """
  places = {pair: i for i, pair in enumerate(linear.pairs(frames))}
  of_frames = [
    (errors[places[t, 1]], errors[places[t, t]]) for t in range(2, frames)
  ]
  return {
    "mean": list(gains.saved(of_frames)),
    "last": list(gains.saved(of_frames[-1:])),
  }
