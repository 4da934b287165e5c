"""The cost of metrics: images per second, memory, time of distances.

  python -m benchmarks.metrics [--rows=memory,inception,efflite0] \\
      [--images=0] [--stream=50000] [--repeats=3] [--out=FILE.json]

`memory` is the resident memory while `summary.summarize` goes through --stream
images and keeps none of them. The network is a stand-in: 2048 features and 1008
logits, as Inception has, that are one matrix product of the pixels, since
50,000 images through Inception take hours on a CPU. Growth is over 45,000
more images, from 10 % to the end.

`inception` is the network of the FID, with random weights, on --images images
(0: 128 on a CPU, 10,000 otherwise) in batches of its own size, after a first
batch that is not timed: seconds; CPU-seconds, which other programs on the
machine change less; and the growth of the memory from before these images to
after them, when no batch is being computed, as one takes hundreds of megabytes.
GFLOP are counted before XLA changes the program.

`efflite0` is EfficientNet-Lite0 with its published weights, in the same way, on
sixteen times as many images.

`distances`, if asked for, are seconds and CPU-seconds, medians of --repeats, of
normal vectors of 2048 numbers: the Frechet distance of two sets' moments, KID
of 100 subsets of 1,000 among 4,096 vectors, precision and recall of 2,000.

Images are 32x32x3, made block by block and never in memory at once. Memory is
read from /proc, on Linux. Programs are compiled without a cache on disk.
"""

import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from pseudovideo import errors
from pseudovideo.files import writable
from pseudovideo.metrics import (
  frechet,
  kid,
  precision_recall,
  sources,
  statistics,
  summary,
)
from pseudovideo.pretrained import efficientnet_lite, features, inception
from pseudovideo.pretrained.from_torch import inception as convert
from pseudovideo.pretrained.networks import inception as model
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

SHAPE = (32, 32, 3)
DIM = 2048
STATM = pathlib.Path("/proc/self/statm")


def resident_mb() -> float:
  """Memory of this process that is in use now, in 10^6 bytes.

  Raises:
    UserError: the system does not tell.
  """
  try:
    pages = int(STATM.read_text().split()[1])
  except OSError as error:
    raise errors.UserError(
      f"Memory is read from {STATM}, which this system lacks; give "
      "--rows=distances or use Linux."
    ) from error
  return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Watched:
  """Made-up images, and the resident memory whenever more are asked for.

  Attributes:
    source: the images.
    resident: megabytes after each block.
  """

  def __init__(self, num: int, block: int = sources.BLOCK):
    """Makes `num` images in blocks of `block`."""
    self.source = sources.ImageSource("noise", num, num, SHAPE, self._blocks)
    self.resident: list[float] = []
    self._block = block

  def _blocks(self) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for start in range(0, self.source.num, self._block):
      num = min(self._block, self.source.num - start)
      yield rng.integers(0, 256, (num, *SHAPE), np.uint8)
      self.resident.append(resident_mb())

  def memory_at(self, *percents: int) -> dict[str, float]:
    """Memory at some percents of the images, and its growth between them.

    Returns:
      resident_mb_at_P for each percent P, and growth_mb.
    """
    places = [math.ceil(p / 100 * len(self.resident)) - 1 for p in percents]
    known = {
      f"resident_mb_at_{p}": self.resident[place]
      for p, place in zip(percents, places, strict=True)
    }
    growth = self.resident[places[-1]] - self.resident[places[0]]
    return {**known, "growth_mb": growth}


def _product(weights: jax.Array, images: jax.Array) -> tuple[jax.Array, ...]:
  pixels = images.reshape(len(images), -1) / 255
  return tuple(jnp.split(pixels @ weights, [DIM], axis=1))


def random_network() -> features.FeatureNetwork:
  """A network with outputs of Inception's size, at the cost of one product."""
  size = (math.prod(SHAPE), DIM + model.NUM_CLASSES)
  weights = np.random.default_rng(0).standard_normal(size, np.float32)
  digest = features.weights_hash({"weights": weights})
  return features.FeatureNetwork(
    "stand-in", digest, DIM, model.NUM_CLASSES, SHAPE, _product, weights, {}
  )


def random_inception() -> features.FeatureNetwork:
  """Inception-v3 with normal kernels that keep the size of what they see."""
  rng = np.random.default_rng(0)

  def make(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    name = path[-1].key
    if name != "kernel":
      value = 1 if name in ("scale", "var") else 0
      return np.full(leaf.shape, value, np.float32)
    gain = np.float32(math.sqrt(2 / math.prod(leaf.shape[:-1])))
    return gain * rng.standard_normal(leaf.shape, np.float32)

  images = jnp.zeros((1, model.SIDE, model.SIDE, 3))
  shapes = jax.eval_shape(model.InceptionV3().init, jax.random.key(0), images)
  variables = jax.tree_util.tree_map_with_path(make, shapes)
  return inception.from_state_dict(convert.to_torch(variables))


def lower(network: features.FeatureNetwork) -> jax.stages.Lowered:
  """The program of one batch, before compilation."""
  images = jax.ShapeDtypeStruct((network.batch_size, *SHAPE), jnp.uint8)
  return jax.jit(network.forward).lower(network.params, images)


def gflop(lowered: jax.stages.Lowered) -> float:
  """The arithmetic of one call of a program; 0 if XLA does not count it."""
  return lowered.cost_analysis().get("flops", 0.0) / 1e9


def measure_memory(num: int) -> dict[str, float]:
  """Measures the row `memory`: resident memory at 10, 50, 100 %, growth."""
  watched = Watched(num)
  summary.summarize(random_network(), watched.source, keep=())
  return {"images": num, **watched.memory_at(10, 50, 100)}


def measure_network(
  network: features.FeatureNetwork, num: int
) -> dict[str, float]:
  """Measures the rows `inception` and `efflite0`, for any network.

  Args:
    network: a network that takes images of `SHAPE`.
    num: number of images that are timed, after one batch that is not.

  Returns:
    images, batch_size, compile_seconds, seconds, images_per_second,
    cpu_seconds_per_image, gflop_per_image, gflops_per_second,
    resident_mb_before, resident_mb_after and growth_mb.
  """
  size = network.batch_size
  lowered = lower(network)
  compile_seconds, _ = _durations(lowered.compile)
  per_image = gflop(lowered) / size

  def look(num: int) -> None:
    for _ in network.stream(Watched(num, size).source.blocks()):
      pass

  look(size)
  before = resident_mb()
  seconds, cpu_seconds = _durations(lambda: look(num))
  after = resident_mb()
  return {
    "images": num,
    "batch_size": size,
    "compile_seconds": compile_seconds,
    "seconds": seconds,
    "images_per_second": num / seconds,
    "cpu_seconds_per_image": cpu_seconds / num,
    "gflop_per_image": per_image,
    "gflops_per_second": per_image * num / seconds,
    "resident_mb_before": before,
    "resident_mb_after": after,
    "growth_mb": after - before,
  }


def measure_distances(
  repeats: int, *, dim: int = DIM, num: int = 4096
) -> dict[str, float]:
  """Measures the row `distances`.

  Args:
    repeats: number of calls of each.
    dim: D.
    num: number of vectors of a set; precision and recall take 2,000 of them.

  Returns:
    {frechet,kid,precision_recall}_{,cpu_}seconds.
  """
  rng = np.random.default_rng(0)
  pair = [rng.standard_normal((num, dim), np.float32) for _ in range(2)]
  moments = [statistics.moments_of(vectors) for vectors in pair]
  few = [vectors[:2000] for vectors in pair]
  calls = {
    "frechet": lambda: frechet.distance(*map(frechet.gaussian, moments)),
    "kid": lambda: kid.kid(*pair),
    "precision_recall": lambda: precision_recall.precision_recall(*few),
  }
  found = {}
  for name, call in calls.items():
    seconds, cpu = np.median([_durations(call) for _ in range(repeats)], axis=0)
    found[f"{name}_seconds"] = float(seconds)
    found[f"{name}_cpu_seconds"] = float(cpu)
  return found


def _durations(call: Callable[[], Any]) -> tuple[float, float]:
  """Seconds and CPU-seconds, all threads together."""
  begin = time.perf_counter(), time.process_time()
  call()
  return time.perf_counter() - begin[0], time.process_time() - begin[1]


def _default_images() -> int:
  return 128 if jax.default_backend() == "cpu" else 10_000


# Memory first: what an earlier row has freed could hide growth.
ROWS: dict[str, Callable[[flags.FlagValues], dict[str, float]]] = {
  "memory": lambda values: measure_memory(values.stream),
  "inception": lambda values: measure_network(
    random_inception(), values.images or _default_images()
  ),
  "efflite0": lambda values: measure_network(
    efficientnet_lite.load(), 16 * (values.images or _default_images())
  ),
  "distances": lambda values: measure_distances(values.repeats),
}


def define_flags() -> flags.FlagValues:
  """Defines the flags of the command."""
  values = flags.FlagValues()
  for define, name, default, meaning in (
    (
      flags.DEFINE_string, "rows", "memory,inception,efflite0",
      f"Measure these rows, commas between: {', '.join(ROWS)}.",
    ),
    (
      flags.DEFINE_integer, "images", 0,
      "Take so many images for Inception, 16 times as many for efflite0; "
      "0: 128 on a CPU, else 10,000.",
    ),
    (
      flags.DEFINE_integer, "stream", 50_000,
      "Take so many images for the row memory.",
    ),
    (
      flags.DEFINE_integer, "repeats", 3,
      "Time so many calls of each distance.",
    ),
    (
      flags.DEFINE_string, "out", None,
      "Write results and provenance to this JSON file.",
    ),
  ):  # fmt: skip
    define(name, default, meaning, flag_values=values)
  return values


def run(argv: Sequence[str]) -> int:
  """Measures, prints, and writes a file if asked to; returns the exit code."""
  values = define_flags()
  command_line.parse_flags(argv, values)
  if values.out:
    writable.check(values.out)
  names = values.rows.split(",")
  rows = [errors.look_up("--rows", name, ROWS) for name in names]
  for name, lowest in (("images", 0), ("stream", 1), ("repeats", 1)):
    if values[name].value < lowest:
      raise errors.UserError(
        f"--{name} must be at least {lowest}; got {values[name].value}."
      )
  print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
  table = {}
  for name, measure in zip(names, rows, strict=True):
    print(name)
    table[name] = measure(values)
    for field, value in table[name].items():
      print(f"  {field:<32}{value:>12.4g}", flush=True)
  if values.out:
    record = {"values": table, "repeats": values.repeats}
    record["provenance"] = results.provenance()
    results.write_json(values.out, record)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
