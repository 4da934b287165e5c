"""Scores images or videos against others, or against a data set.

  python -m pseudovideo.metrics --images=SAMPLES --against=cifar10 \\
      --metrics=FID,KID,IS --samples=50k --out=scores.json
  python -m pseudovideo.metrics --images=SAMPLES --against=cifar10 \\
      --network=efflite0 --metrics=FD,KID,PR,NN

SAMPLES and the other set are a folder of images (FOLDER?size=32 scales and
crops them), an npz or npy file of uint8 (N, H, W, C), or a data set such as
cifar10 (its training split) or cifar10:test. Videos are in npz or npy files,
uint8 (N, T, H, W, C), or clips of a folder, videos:FOLDER?size=32&frames=17.

Metrics of sets, over --network: FID (FD, if it is not inception), KID, IS, PR
(precision and recall), NN (distance to the nearest neighbour), FID-inf and
IS-inf (extrapolated to infinitely many images). Of videos: FVD. Metrics of sets
over their pixels, which need no network and no weights: spectrum (radial power
spectra) and SWD (sliced Wasserstein distance of patches). Metrics of pairs, one
item against the other in their order: PSNR, SSIM, IPD, LPIPS-vgg, LPIPS-alex;
of videos also SSIM-position. --samples draws of what is scored, and for metrics
of pairs the same items of --against.

Weights are never downloaded. Files under their published names are found in
$PSEUDOVIDEO_WEIGHTS_DIR; --weights names the file of Inception, or of I3D for
FVD. --network=efflite0 is EfficientNet-Lite0, whose weights are installed by
pip; it takes images of any size. --network=classifier is the project's own
classifier of the data set. Scores carry the names of both, as FD-efflite0 and
FD-digitscls do. What a network sees of --against is kept on disk.
"""

import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from absl import flags

from pseudovideo import errors
from pseudovideo.files import writable
from pseudovideo.terminal import command_line

# How many images are scored. The paper has 10,000 of its diffusion models and
# 50,000 of its autoregressive and masked ones.
SAMPLES = {"10k": 10_000, "50k": 50_000, "all": None}
NETWORKS = ("inception", "efflite0", "classifier")


def define_flags() -> flags.FlagValues:
  """The flags."""
  values = flags.FlagValues()
  for name, default, meaning in (
    (
      "images",
      None,
      "Score these images or videos: a folder, a file or a data set.",
    ),
    ("against", None, "Compare with these: a folder, a file or a data set."),
    (
      "metrics",
      None,
      "Compute these metrics, commas between; FID,KID,IS if absent.",
    ),
    ("samples", "all", "Score so many images: 10k, 50k, all or a number."),
    (
      "resize",
      "tf1",
      "Resize for Inception as tf1, pytorch_fid, clean or torchmetrics does.",
    ),
    ("weights", None, "Read the weights of Inception or I3D from this file."),
    ("out", None, "Write the scores and their origin to this JSON file."),
    (
      "data_dir",
      None,
      "Read TFDS sets from this folder; $PSEUDOVIDEO_DATA_DIR if absent.",
    ),
  ):
    flags.DEFINE_string(name, default, meaning, flag_values=values)
  flags.DEFINE_enum(
    "network",
    "inception",
    NETWORKS,
    "Compare features of this network.",
    flag_values=values,
  )
  for name, number, meaning in (
    ("dim", 2048, "Take so many features of Inception: 64, 192, 768 or 2048."),
    ("seed", 0, "Draw the subsets and splits of metrics from this seed."),
  ):
    flags.DEFINE_integer(name, number, meaning, flag_values=values)
  return values


def run(argv: Sequence[str]) -> int:
  """Scores one set against another; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  if not values.images or not values.against:
    raise errors.UserError(
      "Say what to score and what to compare it with: --images=FOLDER_OR_FILE "
      "--against=cifar10, for example."
    )
  number = number_of(values.samples)
  if values.seed < 0:
    raise errors.UserError(f"--seed must be 0 or more; got {values.seed}.")
  if values.out:
    writable.check(values.out)
  command_line.set_up()
  # Imported late, so that a mistake in the arguments is answered at once.
  from pseudovideo.metrics import sources

  _check_network(values)
  kinds = kinds_of(values)
  begin = time.monotonic()
  scored = sources.parse(values.images, data_dir=values.data_dir)
  reference = sources.parse(values.against, data_dir=values.data_dir)
  found = _scores(values, kinds, scored, reference, number)
  for line in _lines(found):
    print(line)
  for note in _notes(found):
    print(note)
  if values.out:
    scored = scored.chosen(number, values.seed)
    record = _record(values, found, scored, reference, time.monotonic() - begin)
    _write(values.out, record)
    print(f"Scores and where they come from are in {values.out}.")
  return 0


def number_of(text: str) -> int | None:
  """The number of images that --samples means; None: all."""
  if text in SAMPLES:
    return SAMPLES[text]
  try:
    number = int(text)
  except ValueError:
    number = 0
  if number < 1:
    raise errors.UserError(
      f"--samples must be 10k, 50k, all or a positive number; got {text!r}."
    )
  return number


def _check_network(values: flags.FlagValues) -> None:
  """Refuses flags that the network does not read."""
  if values.network == "inception":
    return
  for name in ("resize", "dim", "weights"):
    if values[name].present and not (name == "weights" and _has_fvd(values)):
      raise errors.UserError(
        f"--{name} is for Inception; leave it out with "
        f"--network={values.network}."
      )


def _has_fvd(values: flags.FlagValues) -> bool:
  return "FVD" in (values.metrics or "")


def kinds_of(values: flags.FlagValues) -> dict[str, list[str]]:
  """The metrics asked for, by what they are over, such as pairs."""
  from pseudovideo.metrics import image_metrics, pair_metrics, set_metrics

  inception = values.network == "inception" and values.dim == 2048
  own = {
    kind.replace("FD", "FID") if inception else kind: kind
    for kind in set_metrics.METRICS
  }
  allowed = [*own, "FVD", *image_metrics.METRICS, *pair_metrics.METRICS]
  over = ("sets", "videos", "images", "pairs")
  kinds: dict[str, list[str]] = {name: [] for name in over}
  if values.metrics is None:
    return {**kinds, "sets": list(set_metrics.DEFAULT)}
  for name in dict.fromkeys(map(str.strip, values.metrics.split(","))):
    if name in own:
      kinds["sets"].append(own[name])
    elif name == "FVD":
      kinds["videos"].append("FD")
    elif name in image_metrics.METRICS:
      kinds["images"].append(name)
    elif name in pair_metrics.METRICS:
      kinds["pairs"].append(name)
    else:
      raise errors.unknown("metric over this network", name, allowed)
  return kinds


def _scores(
  values: flags.FlagValues,
  kinds: dict[str, list[str]],
  scored: Any,
  reference: Any,
  number: int | None,
) -> dict[str, Any]:
  """Records by name; what is missing is refused before anything is computed."""
  from pseudovideo.metrics import compare
  from pseudovideo.pretrained import i3d

  seed = values.seed
  chosen = scored.chosen(number, seed)
  networks = {}
  if kinds["sets"]:
    networks["sets"] = _network(values, reference)
  if kinds["videos"]:
    networks["videos"] = i3d.load(values.weights)
  found: dict[str, Any] = {}
  if kinds["images"]:
    found |= compare.images(chosen, reference, kinds["images"], seed=seed)
  if kinds["pairs"]:
    found |= compare.pairs(
      scored, reference, kinds["pairs"], num=number, seed=seed
    )
  for over, network in networks.items():
    found |= compare.sets(chosen, reference, network, kinds[over], seed=seed)
  return found


def _network(values: flags.FlagValues, reference: Any) -> Any:
  from pseudovideo.pretrained import classifier, efficientnet_lite

  if values.network == "inception":
    return _inception(values)
  if values.network == "efflite0":
    return efficientnet_lite.load()
  if reference.image_set is None:
    raise errors.UserError(
      "--network=classifier is trained on a data set with labels; name one "
      f"with --against, such as cifar10, instead of {reference.title}."
    )
  return classifier.get_feature_network(reference.image_set)


def _inception(values: flags.FlagValues) -> Any:
  from pseudovideo.pretrained import inception, weights

  try:
    return inception.load(values.weights, resize=values.resize, dim=values.dim)
  except errors.UserError as error:
    if values.weights or weights.find(weights.INCEPTION) is not None:
      raise
    raise errors.UserError(
      f"{str(error).removesuffix('.')}, or give --network=efflite0, whose "
      "scores are no FID."
    ) from error


def _lines(found: dict[str, Any]) -> list[str]:
  """A table as text."""
  width = max(map(len, found)) + 2
  lines = [f"{'metric':<{width}}{'score':>12}{'+-':>10}{'items':>10}  better"]
  for name, record in found.items():
    std = "" if record["std"] is None else f"{record['std']:.4f}"
    lines.append(
      f"{name:<{width}}{record['value']:>12.4f}{std:>10}"
      f"{record['num_samples']:>10}  {record['better']}"
    )
  return lines


def _notes(found: dict[str, Any]) -> list[str]:
  """Warnings about scores that mislead."""
  from pseudovideo.metrics import set_metrics

  return set_metrics.warnings(found)


def _record(
  values: flags.FlagValues,
  found: dict[str, Any],
  scored: Any,
  reference: Any,
  seconds: float,
) -> dict[str, Any]:
  from pseudovideo.runs import results

  return {
    "metrics": {"scored": found},
    "scored": scored.about(),
    "against": reference.about(),
    "samples": values.samples,
    "seed": values.seed,
    "wall_seconds": {"score": seconds},
    "provenance": results.provenance(),
  }


def _write(path: str, record: dict[str, Any]) -> None:
  from pseudovideo.runs import results

  results.write_json(pathlib.Path(path), record)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
