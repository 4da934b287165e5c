"""Notes below tables of scores: networks, definitions, controls, devices."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.reporting import instruments, tables
from experiments.reporting.columns import CODEBOOK, VIDEOS, numbers, same
from pseudovideo.metrics import set_metrics

Record = Mapping[str, Any]


def of(records: Sequence[Record]) -> list[str]:
  """Paragraphs on the scores and the runs of some records."""
  return [*about_scores(records), of_runs(records)]


def about_scores(records: Sequence[Record]) -> list[str]:
  """Definitions of the scores, their networks, and what was left out."""
  networks = tables.feature_networks(records[0]) if records else []
  left_out = [
    f"{name} is left out: {why}."
    for record in records
    for name, why in record.get("left_out", {}).items()
  ]
  return [
    *map(_about_network, networks),
    *_about_inception_scores(records),
    *_each_once(records, set_metrics.warnings),
    *dict.fromkeys(left_out),
  ]


def about_models(records: Sequence[Record]) -> list[str]:
  """Definitions of the columns that some kinds of models have."""
  found = []
  drawn = numbers(records, "bound", "num_images")
  if drawn:
    found.append(
      "-ELBO: of held-out images, one draw of the latents, mean over "
      f"{same(drawn)} images. Best deltas: with the decoder's variances that "
      "make the bound of training images least, in closed form."
    )
  pairs = numbers(records, "reconstruction", "metrics", "PSNR", "num_samples")
  if pairs:
    found.append(
      f"Scored are reconstructions of {same(pairs)} held-out images. PSNR: in "
      "dB, a mean over these images; beside it the PSNR of their mean squared "
      "error."
    )
  videos = numbers(records, *VIDEOS, "num_videos")
  if videos:
    found.append(
      f"Of {same(videos)} held-out pseudo videos: PSNR of frames, a mean over "
      "all frames; preserved, the information preservation degree on [0, 1]; "
      "SSIM by position in a group of frames that are encoded together, in "
      "the order of encoding, and its maximum minus its minimum, which is "
      "flicker."
    )
  if numbers(records, *CODEBOOK, "tokens"):
    found.append(
      "Codes used and perplexity, the exponential of the entropy of their "
      "frequencies: over the tokens of these images; tokens: of one image or "
      "its pseudo video."
    )
  found += [
    f"nats/token and bits/dim: {text}"
    for text in sorted(set(numbers(records, "token_likelihood", "definition")))
  ]
  if any("tokenizer" in record["config"] for record in records):
    found.append(
      "Samples/s: with decoding of their tokens, without compilation."
    )
  tasks = [record["config"]["task"] for record in records]
  if any(task.get("adversarial") for task in tasks):
    found.append("Parameters include the discriminator's.")
  judged = [task.get("perceptual") == "classifier" for task in tasks]
  if any(judged):
    titles = [record["config"]["title"] for record in records]
    names = sorted(itertools.compress(titles, judged))
    found.append(
      "Trained on features of the classifier that scores them, so that scores "
      f"over it are biased in their favour: {'; '.join(names)}."
    )
  return found


def _about_network(network: Record) -> str:
  name, digits = network["name"], network["weights_hash"][: instruments.DIGITS]
  if "held_out_accuracy" not in network:
    named = (
      "FID and the scores beside it"
      if name == "inception"
      else (f"Scores named {name}, which are no FID,")
    )
    return (
      f"{named} are over {network['weights']}, weights {digits}, images "
      f"resized by {network['resize']}."
    )
  accuracy = f"{network['held_out_accuracy']:.1%} accurate on held-out images"
  if instruments.is_older(network):
    return (
      f"Scores named {name}-{digits} are over an older classifier, {accuracy}, "
      "which was trained where they were made; other scores cannot be compared "
      "with them."
    )
  return (
    f"Scores named {name} are over the project's classifier of the data set, "
    f"{accuracy}; its weights hash to {digits}."
  )


def _about_inception_scores(records: Sequence[Record]) -> list[str]:
  """Definitions of Inception Scores, with the largest possible value."""
  return _each_once(records, set_metrics.about_inception_scores)


def _each_once(
  records: Sequence[Record], say: Callable[[Record], list[str]]
) -> list[str]:
  """Lines about the scores of generated images, each once."""
  lines = (say(record["metrics"]["generated"]) for record in records)
  return list(dict.fromkeys(itertools.chain.from_iterable(lines)))


def of_runs(records: Sequence[Record]) -> str:
  """A sentence on weights, seeds and devices."""
  devices = {
    f"{r['provenance']['device']['kind']}, jax "
    f"{r['provenance']['packages']['jax']}"
    for r in records
  }
  several = any(
    records[0]["seeds"]["train"] != r["seeds"]["train"] for r in records
  )
  spread = "Means \N{PLUS-MINUS SIGN} standard deviations over training seeds. "
  averaged = any(numbers(records, "config", "optimizer", "ema_decay"))
  weights = (
    "Averaged (EMA) weights" if averaged else "Weights of the last update"
  )
  return (
    f"{spread if several else ''}{weights}. Evaluations of the network (NFE) "
    "are per sample, seconds are of training. Trained on "
    f"{'; '.join(sorted(devices))}."
  )
