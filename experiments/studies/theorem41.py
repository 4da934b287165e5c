"""Theorem 4.1 in numbers: what more earlier frames are worth, per pixel.

  python -m experiments.theorem41 [--variance=1] [--num=1000000] [--out=DIR]

Prints the minimal squared errors of predicting the image, and every frame
between, from the k frames before it, for pseudo videos of 4 and 8 frames of a
Gaussian pixel: closed forms (`pseudovideo.probe.theory`) beside a simulation,
in which linear predictors are fitted to --num videos and scored on as many
others. Gains are paired: both predictors see the same videos. `matched_snr` is
the first-order chain as clean as the high-order one.

With --out, theorem41.json and theorem41.html, with charts, are written there.
A pixel of an image in [-1, 1] has a variance of about 0.25.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from experiments.reporting import tables
from pseudovideo import augmentations, errors
from pseudovideo.files import writable
from pseudovideo.probe import theory as closed
from pseudovideo.report import Report
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

CHAINS = ("first_order", "high_order", "matched_snr")
FRAMES = (4, 8)
NAME = "theorem41"


def simulate(
  betas: Sequence[float],
  *,
  high_order: bool,
  variance: float,
  num: int,
  rng: np.random.Generator,
) -> np.ndarray:
  """(num, T) float64: a Gaussian pixel and its chain, the image last."""
  frames = [rng.normal(scale=np.sqrt(variance), size=num)]
  for t, beta in enumerate(betas, start=1):
    source = sum(frames) / t if high_order else frames[-1]
    eps = rng.normal(size=num)
    frames.append(np.sqrt(1 - beta) * source + np.sqrt(beta) * eps)
  return np.stack(frames[::-1], axis=1)


def squared_errors(
  fitted: np.ndarray, scored: np.ndarray, frame: int, k: int
) -> np.ndarray:
  """Errors of a frame that is predicted from the k frames before it.

  Args:
    fitted: videos that the least squares are fitted to, (N, T).
    scored: other videos, (M, T).
    frame: index of the predicted frame, in 1 .. T - 1.
    k: number of frames that it is predicted from, in 1 .. frame.

  Returns:
    Squared errors on the other videos, (M,) float64.
  """
  before = slice(frame - k, frame)
  gram = fitted[:, before].T @ fitted[:, before]
  slopes = np.linalg.solve(gram, fitted[:, before].T @ fitted[:, frame])
  return np.square(scored[:, frame] - scored[:, before] @ slopes)


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
  """The mean of independent values, and its standard error."""
  return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def measure_chain(
  name: str, frames: int, *, variance: float, num: int, seed: int
) -> list[dict[str, Any]]:
  """The errors of one chain, closed and simulated.

  Args:
    name: one of `CHAINS`.
    frames: T.
    variance: variance of a pixel of the image.
    num: number of videos to fit to, and of others to score on.
    seed: seed of the simulation.

  Returns:
    One record per frame and k; `gain` is the error saved by the frames beyond
    the previous one.
  """
  betas = augmentations.make(name, frames=frames).betas()
  chain = {"high_order": name == "high_order", "variance": variance}
  table = closed.frame_errors(closed.covariance(betas, **chain))
  # The precision sums do without the inverse of a nearly singular matrix.
  table[-1, 1:] = closed.image_errors(betas, **chain)
  rng = np.random.default_rng([seed, frames, CHAINS.index(name)])
  fitted, scored = (
    simulate(betas, **chain, num=num, rng=rng) for _ in range(2)
  )
  records = []
  for frame in range(1, frames):
    previous = squared_errors(fitted, scored, frame, 1)
    for k in range(1, frame + 1):
      found = squared_errors(fitted, scored, frame, k)
      error, of_error = mean_and_error(found)
      gain, of_gain = mean_and_error(previous - found)
      records.append(
        {
          "chain": name,
          "frames": frames,
          "frame": frame + 1,
          "given": k,
          "error": table[frame, k],
          "gain": table[frame, 1] - table[frame, k],
          "simulated_error": error,
          "standard_error": of_error,
          "simulated_gain": gain,
          "standard_error_of_gain": of_gain,
        }
      )
  return records


def measure(variance: float, num: int, seed: int) -> list[dict[str, Any]]:
  """The records of all chains and lengths."""
  return [
    record
    for frames in FRAMES
    for name in CHAINS
    for record in measure_chain(
      name, frames, variance=variance, num=num, seed=seed
    )
  ]


def image_table(
  records: Sequence[dict[str, Any]],
) -> tuple[list[str], list[list[str]]]:
  """Errors of the image by the number of frames before it."""
  header = ["image from", "minimal error", "simulated", "gain", "simulated"]
  rows = [
    [
      f"{r['chain']}, {r['frames']} frames: {r['given']} nearest",
      f"{r['error']:.12g}",
      f"{r['simulated_error']:.4e} ± {r['standard_error']:.0e}",
      _percent(r["gain"], r),
      f"{_percent(r['simulated_gain'], r)} ± "
      f"{_percent(r['standard_error_of_gain'], r)}",
    ]
    for r in records
    if r["frame"] == r["frames"]
  ]
  return header, rows


def _percent(gain: float, record: dict[str, Any]) -> str:
  """A gain relative to the closed error given the previous frame."""
  share = round(gain / (record["error"] + record["gain"]), 5)
  return f"{share + 0.0:.3%}"  # Minus zero plus zero is zero.


def frame_table(
  records: Sequence[dict[str, Any]],
) -> tuple[list[str], list[list[str]]]:
  """Errors of every frame from the one before it and from all before it."""
  header = [
    "frame", "minimal error from the previous", "from all", "gain", "simulated"
  ]  # fmt: skip
  rows = [
    [
      f"{r['chain']}, frame {r['frame']} of {r['frames']}",
      f"{r['error'] + r['gain']:.6g}",
      f"{r['error']:.6g}",
      _percent(r["gain"], r),
      f"{_percent(r['simulated_gain'], r)} ± "
      f"{_percent(r['standard_error_of_gain'], r)}",
    ]
    for r in records
    if r["given"] == r["frame"] - 1 > 1
  ]
  return header, rows


def sentence(records: Sequence[dict[str, Any]]) -> str:
  """A sentence on the largest differences of simulation and closed forms."""
  away = max(
    abs(r["simulated_error"] - r["error"]) / r["standard_error"]
    for r in records
  )
  gains = max(
    abs(r["simulated_gain"] - r["gain"]) / r["standard_error_of_gain"]
    for r in records
    if r["chain"] == "high_order" and r["given"] > 1
  )
  none = max(
    abs(r["simulated_gain"]) / r["error"]
    for r in records
    if r["chain"] != "high_order"
  )
  return (
    f"The largest deviations from the closed forms are {away:.1f} standard "
    f"errors of the {len(records)} errors and {gains:.1f} of the high-order "
    f"gains; the simulated gains of first-order chains are at most {none:.1e} "
    "of the error."
  )


def write_page(
  path: pathlib.Path, records: Sequence[dict[str, Any]], about: str
) -> pathlib.Path:
  """Charts and tables in one HTML file."""
  page = Report("Theorem 4.1 in numbers", about)
  for frames in FRAMES:
    page.section(f"{frames} frames")
    of_image, by_frame = {}, {}
    for name in CHAINS:
      mine = [r for r in records if (r["chain"], r["frames"]) == (name, frames)]
      image = [r for r in mine if r["frame"] == frames]
      of_image[name] = (
        [r["given"] for r in image],
        [100 * r["gain"] / (r["error"] + r["gain"]) for r in image],
      )
      whole = [r for r in mine if r["given"] == r["frame"] - 1]
      by_frame[name] = [r["frame"] for r in whole], [r["error"] for r in whole]
    page.chart(
      by_frame,
      "frame, the last is the image",
      "minimal squared error from all frames before it",
      log=True,
    )
    page.chart(
      of_image,
      "number of nearest frames that are given",
      "error of the image saved against the nearest alone, %",
    )
  page.section("The image")
  page.table(*image_table(records))
  page.section("Every frame")
  page.table(*frame_table(records), caption=sentence(records))
  return page.write(path)


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  flags.DEFINE_float(
    "variance",
    1.0,
    "Give every pixel of the image this variance.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "num",
    1_000_000,
    "Fit to so many videos, and score on as many others.",
    flag_values=values,
  )
  flags.DEFINE_integer(
    "seed", 0, "Draw the simulation from this seed.", flag_values=values
  )
  flags.DEFINE_string(
    "out",
    None,
    "Write numbers and charts to this folder; nowhere if absent.",
    flag_values=values,
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes if asked to; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  if not 0 < values.variance < float("inf"):
    raise errors.UserError(
      f"--variance must be a positive number; got {values.variance}."
    )
  if values.num < 100 or values.seed < 0:
    raise errors.UserError(
      "--num must be at least 100 and --seed at least 0; got "
      f"{values.num} and {values.seed}."
    )
  if values.out:
    writable.check(pathlib.Path(values.out, f"{NAME}.json"))
  records = measure(values.variance, values.num, values.seed)
  about = (
    f"A Gaussian pixel of variance {values.variance:g}; simulated with "
    f"{values.num:,} videos to fit to and as many to score on."
  )
  for text in (
    about,
    tables.as_text(*image_table(records)),
    tables.as_text(*frame_table(records)),
    sentence(records),
  ):
    print(text, end="\n\n")
  if values.out:
    out = pathlib.Path(values.out)
    record = {
      "title": "Theorem 4.1 in numbers",
      "variance": values.variance,
      "num": values.num,
      "seed": values.seed,
      "errors": records,
      "provenance": results.provenance(),
    }
    results.write_json(out / f"{NAME}.json", record)
    page = write_page(out / f"{NAME}.html", records, about)
    print(f"Numbers are in {out / f'{NAME}.json'}, charts in {page}.")
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
