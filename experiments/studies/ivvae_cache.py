"""Memory and time of a long clip through IV-VAE, in three ways (its Table 7).

  python -m experiments.ivvae_cache run --preset=small --out=FILE.json
  python -m experiments.ivvae_cache report --results=FILE.json

`run` encodes and decodes one clip of each length in a process of its own, in
  one_shot  one piece
  overlap   pieces that overlap by a frame, each of them a clip by itself: the
            first latent, or frame, of all but the first piece is dropped
  cache     frame 0, then pieces that see the last frames of each layer's input
and prints and writes how far the results are from one shot's.

Weights and clips are random, so that errors say that two ways differ, not how
well anything is reconstructed. `planned` is what XLA plans for arguments and
temporary arrays of the largest program; `resident` is the most that this
process had in memory (Linux); `device`, where it is known, the most that was in
use there. All are above the parameters, and input and output are not counted in
`resident`. Processor seconds do not grow much when other programs run beside.
"""

import concurrent.futures
import functools
import multiprocessing
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks import memory, timing, weights
from experiments.reporting import tables
from pseudovideo import errors
from pseudovideo.files import writable
from pseudovideo.models.video_vae import cache, geometry, iv_vae
from pseudovideo.runs import results
from pseudovideo.terminal import command_line

WAYS = ("one_shot", "overlap", "cache")
# Of Table 7: 49 frames of 1024x1024, GB and seconds.
PAPER = {"one_shot": (76.3, 12.7), "overlap": (14.3, 14.7), "cache": (14.1, 13)}
PAPER_SIZE = "49x1024x1024"


class Size(NamedTuple):
  """The network and the clips that are measured.

  Attributes:
    net: the network.
    frames: lengths of the clips.
    side: side of their frames, in pixels.
    chunk: frames of a piece, behind its first or behind the cache.
  """

  net: iv_vae.IVVAE
  frames: tuple[int, ...]
  side: int
  chunk: int


PRESETS = {
  "tiny": Size(
    iv_vae.IVVAE(
      base=4, latent_channels=4, multipliers=(1, 2), blocks=1, temporal=(True,),
      rates=(1, 3),
    ), (5, 9), 8, 2,
  ),
  "small": Size(
    iv_vae.IVVAE(
      base=16, latent_channels=8, multipliers=(1, 2, 4), temporal=(True, True)
    ), (9, 17, 33, 65), 64, 4,
  ),
  "paper": Size(iv_vae.IVVAE(latent_channels=4), (49,), 1024, 4),
}  # fmt: skip


class Piece(NamedTuple):
  """Frames, or latents, that are coded by one call.

  Attributes:
    start: index of the first frame, or latent.
    stop: index behind the last one.
    continued: True if the cache of the piece before is used.
    dropped: number of results that are left out, at the front.
  """

  start: int
  stop: int
  continued: bool
  dropped: int


def pieces(way: str, length: int, chunk: int) -> list[Piece]:
  """A clip of `length` = 1 + n `chunk` frames, or latents, in pieces."""
  later = range(1, length, chunk)
  if way == "one_shot":
    return [Piece(0, length, False, 0)]
  if way == "overlap":
    return [Piece(s - 1, s + chunk, False, int(s > 1)) for s in later]
  return [Piece(0, 1, False, 0)] + [Piece(s, s + chunk, True, 0) for s in later]


class Coder:
  """Encodes, or decodes, a clip piece by piece.

  Attributes:
    plan: the pieces.
    megabytes: XLA's plan for the largest program, parameters not counted.
    compile_seconds: seconds that all programs took to compile.
  """

  def __init__(self, net, params, method: str, way: str, x, chunk: int):
    """Compiles a program for every kind of piece.

    Args:
      net: the network.
      params: its parameters.
      method: `encode`, to the means, or `decode`.
      way: one of `WAYS`.
      x: an example of what will be coded, (B, T, H, W, C).
      chunk: frames, or latents, of a piece, as for `pieces`.
    """
    self.plan = pieces(way, x.shape[1], chunk)
    self.megabytes = self.compile_seconds = 0.0
    self._params, self._programs, state = params, {}, None
    code = functools.partial(_code, net, method, way == "cache")
    own = sum(p.nbytes for p in jax.tree.leaves(params)) / 1e6
    for piece in self.plan:
      if self._kind(piece) in self._programs:
        continue
      shape = (x.shape[0], piece.stop - piece.start, *x.shape[2:])
      part = jax.ShapeDtypeStruct(shape, jnp.float32)
      arguments = (params, part, state if piece.continued else None)
      program, found = timing.program(code, arguments)
      self._programs[self._kind(piece)] = program
      self.compile_seconds += found["compile_seconds"]
      planned = 1e3 * found["xla_memory_gb"] - own
      self.megabytes = max(self.megabytes, planned)
      _, state = jax.eval_shape(code, *arguments)

  def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
    """Fills `out` with the results for x; both are in the host's memory."""
    state, end = None, 0
    for piece in self.plan:
      part = x[:, piece.start : piece.stop]
      kept = state if piece.continued else None
      coded, state = self._programs[self._kind(piece)](self._params, part, kept)
      coded = np.asarray(coded)[:, piece.dropped :]
      out[:, end : end + coded.shape[1]] = coded
      end += coded.shape[1]

  @staticmethod
  def _kind(piece: Piece):
    return piece.stop - piece.start, piece.continued


def _code(net, method, kept, params, x, state):
  """Results of a piece, and the cache if it is `kept`."""
  made, state = getattr(cache, method)(net, params, x, state)
  return made[0] if method == "encode" else made, state if kept else None


def case(
  size: Size, way: str, frames: int, repeats: int, path: str
) -> dict[str, Any]:
  """Measures one way and length, in a process that did nothing before.

  Args:
    size: the network and the side of the frames.
    way: one of `WAYS`.
    frames: length of the clip.
    repeats: number of calls that are timed, after one more.
    path: path of an .npz file for the results, `latents` and `video`.

  Returns:
    planned_mb, resident_mb and device_mb (see the module); seconds and
    cpu_seconds (medians), also of `encode_` and `decode_` alone; and
    compile_seconds.
  """
  net, side = size.net, size.side
  rng = np.random.default_rng(0)
  shape = (1, frames, side, side, net.image_channels)
  clip = rng.uniform(-1, 1, shape).astype(np.float32)
  params = weights.random(net.init, jax.random.key(0), clip[:, :1])["params"]
  latents = np.zeros((1, *net.latent_shape(shape[1:4])), np.float32)
  video = np.zeros_like(clip)
  latents += 0  # Touched: pages of zeros are not there before that.
  video += 0
  factor = geometry.temporal_factor(net.temporal)
  encode = Coder(net, params, "encode", way, clip, size.chunk)
  decode = Coder(net, params, "decode", way, latents, size.chunk // factor)
  found = {
    "planned_mb": max(encode.megabytes, decode.megabytes),
    "compile_seconds": encode.compile_seconds + decode.compile_seconds,
  }

  def work():
    first = timing.medians(lambda: encode(clip, latents), repeats)
    second = timing.medians(lambda: decode(latents, video), repeats)
    for name, value in first.items():
      found[f"encode_{name}"], found[f"decode_{name}"] = value, second[name]
      found[name] = value + second[name]

  found["resident_mb"] = memory.added_mb(work)
  on_device = jax.local_devices()[0].memory_stats() or {}
  found["device_mb"] = None
  if "peak_bytes_in_use" in on_device:
    own = sum(p.nbytes for p in jax.tree.leaves(params))
    found["device_mb"] = (on_device["peak_bytes_in_use"] - own) / 1e6
  np.savez(path, latents=latents, video=video)
  return found


def measure(
  size: Size, ways: Sequence[str], repeats: int
) -> list[dict[str, Any]]:
  """Measures every length in every way, each in a process of its own.

  Args:
    size: the network and the clips.
    ways: some of `WAYS`, in their order.
    repeats: number of calls that are timed, after one more.

  Returns:
    The results of `case`, with `way` and `frames`. Where one shot is among the
    ways, the largest absolute differences to it are `latents_error` and
    `video_error`, and its root mean squares `latents_rms` and `video_rms`.
  """
  rows = []
  spawn = multiprocessing.get_context("spawn")
  with tempfile.TemporaryDirectory() as folder:
    for frames in size.frames:
      for way in ways:
        path = str(pathlib.Path(folder, f"{way}.npz"))
        with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
          found = process.submit(
            case, size, way, frames, repeats, path
          ).result()
        rows.append({"way": way, "frames": frames, **found})
        if "one_shot" in ways:
          whole = pathlib.Path(folder, "one_shot.npz")
          rows[-1] |= _errors(np.load(path), np.load(whole))
        print(f"{frames} frames, {way}: done", file=sys.stderr, flush=True)
  return rows


def _errors(coded, whole) -> dict[str, float]:
  found = {}
  for name in ("latents", "video"):
    found[f"{name}_error"] = float(np.abs(coded[name] - whole[name]).max())
    found[f"{name}_rms"] = float(np.sqrt(np.mean(np.square(whole[name]))))
  return found


HEADER = (
  "", "frames", "planned, MB", "resident, MB", "device, MB", "CPU-s", "s",
  "latents off", "frames off",
)  # fmt: skip


def table(record: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
  """Ours by way and length, then the paper's; MB above the parameters."""
  lines = []
  for row in sorted(record["rows"], key=lambda row: WAYS.index(row["way"])):
    numbers = [
      _number(row[name], "{:,.0f}")
      for name in ("planned_mb", "resident_mb", "device_mb")
    ]
    numbers += [f"{row[name]:.2f}" for name in ("cpu_seconds", "seconds")]
    numbers += [_off(row, name) for name in ("latents", "video")]
    label = row["way"].replace("_", " ")
    lines.append([label, str(row["frames"]), *numbers])
  none = tables.NOTHING
  for way, (gigabytes, seconds) in PAPER.items():
    label = f"paper, {way.replace('_', ' ')}"
    memory_cells = [none, none, f"{1e3 * gigabytes:,.0f}"]
    lines.append(
      [label, PAPER_SIZE, *memory_cells, none, f"{seconds:.1f}", none, none]
    )
  return list(HEADER), lines


def _number(value: float | None, style: str) -> str:
  return tables.NOTHING if value is None else style.format(value)


def _off(row: Mapping[str, Any], name: str) -> str:
  """The largest difference to one shot, in root mean squares of that."""
  if f"{name}_error" not in row:
    return tables.NOTHING
  return f"{row[f'{name}_error'] / row[f'{name}_rms']:.1e}"


def note(record: Mapping[str, Any]) -> str:
  """A paragraph on the setting in which the numbers were measured."""
  about, size = record["provenance"], record["size"]
  return (
    f"Frames of {size['side']}x{size['side']}, base {size['base']}, Z = "
    f"{size['latent_channels']}, pieces of {size['chunk']} frames (one more "
    "with overlap), float32, random weights; medians of "
    f"{record['repeats']}, {about['device']['kind']}, "
    f"{about['host']['cores']} cores beside other work, jax "
    f"{about['packages']['jax']}. Our memory is above the parameters. "
    "`Off` is the largest difference to one shot, in root mean squares "
    "of its latents and frames. The paper's rows (its Table 7; chunks of 1 + "
    "4*12 frames, overlap 5-frame*12) are of another device."
  )


FORMATS = {"text": tables.as_text, "md": tables.as_markdown}
# Flags that change the preset.
INTEGERS = {
  "side": "Take frames of this side, in pixels; the preset's if absent.",
  "base": "Take a network of this base width; the preset's if absent.",
  "latent_channels": "Take so many latent channels; the preset's if absent.",
  "chunk": "Cut clips into pieces of so many frames; the preset's if absent.",
}


def define_flags(*commands: str) -> flags.FlagValues:
  """Defines the flags of some commands, of `run` and `report`."""
  values = flags.FlagValues()
  if "report" in commands:
    for define, name, default, *rest in (
      (
        flags.DEFINE_string,
        "results",
        None,
        "Read the measurements of this file, written with --out.",
      ),
      (
        flags.DEFINE_enum,
        "format",
        "text",
        list(FORMATS),
        "Print the table in this format.",
      ),
    ):
      define(name, default, *rest, flag_values=values)
  if "run" in commands:
    for define, name, default, *rest in (
      (
        flags.DEFINE_enum,
        "preset",
        "small",
        list(PRESETS),
        "Take a network and clips of this size.",
      ),
      (
        flags.DEFINE_list,
        "frames",
        None,
        "Take clips of these lengths, commas between; the preset's if absent.",
      ),
      (
        flags.DEFINE_list,
        "ways",
        ",".join(WAYS),
        "Measure these ways, commas between.",
      ),
      *((flags.DEFINE_integer, n, None, m) for n, m in INTEGERS.items()),
      (flags.DEFINE_integer, "repeats", 1, "Time so many calls."),
      (
        flags.DEFINE_string,
        "out",
        None,
        "Write results to this JSON file.",
      ),
    ):
      define(name, default, *rest, flag_values=values)
  return values


def chosen_size(values: flags.FlagValues) -> Size:
  """The preset as the flags change it, without dilations that see nothing.

  Raises:
    UserError: an impossible network or clip, or pieces that do not fit.
  """
  size = PRESETS[values.preset]
  if values.frames:
    size = size._replace(frames=tuple(_length(f) for f in values.frames))
  for name in ("side", "chunk"):
    if values[name].value is not None:
      size = size._replace(**{name: values[name].value})
  for name in ("base", "latent_channels"):
    if values[name].value is not None:
      size = size._replace(net=size.net.clone(**{name: values[name].value}))
  net = size.net
  rates = geometry.rates_below(net.rates, size.side // net.spatial_factor)
  net = net.clone(rates=rates)
  size = size._replace(net=net)
  factor = geometry.temporal_factor(net.temporal)
  geometry.check_frames(size.chunk, factor, first=False)
  for frames in size.frames:
    net.check((size.side, size.side, net.image_channels), frames)
    if frames == 1 or (frames - 1) % size.chunk:
      raise errors.UserError(
        f"--frames must be 1 + n times --chunk={size.chunk}, n > 0; got "
        f"{frames}."
      )
  return size


def _length(text: str) -> int:
  if not text.isdecimal():
    raise errors.UserError(
      f"--frames must be whole numbers, as in --frames=9,17; got {text!r}."
    )
  return int(text)


def run(argv: Sequence[str]) -> int:
  """Measures, writes and prints; returns the exit code."""
  values = define_flags("run")
  _parse(argv, values)
  size = chosen_size(values)
  for way in values.ways:
    errors.look_up("--ways", way, dict.fromkeys(WAYS))
  if values.repeats < 1:
    raise errors.UserError(
      f"--repeats must be at least 1; got {values.repeats}."
    )
  # In their order, since errors are differences to the first.
  ways = [way for way in WAYS if way in values.ways]
  if values.out:
    writable.check(values.out)
  rows = measure(size, ways, values.repeats)
  record = {
    "rows": rows,
    "size": {
      "side": size.side,
      "chunk": size.chunk,
      "base": size.net.base,
      "latent_channels": size.net.latent_channels,
      "multipliers": size.net.multipliers,
      "rates": size.net.rates,
      "temporal": size.net.temporal,
    },
    "preset": values.preset,
    "repeats": values.repeats,
    "weights": "random",
    "paper": {"size": PAPER_SIZE, "gb_and_seconds": PAPER},
    "provenance": results.provenance(),
  }
  if values.out:
    results.write_json(values.out, record)
  return _show(record)


def report(argv: Sequence[str]) -> int:
  """Prints the results that `run` has written; returns the exit code."""
  values = define_flags("report")
  _parse(argv, values)
  if not values.results:
    raise errors.UserError(
      "Say where the results of run are, with --results=FILE."
    )
  with results.from_file(values.results):
    return _show(results.read_json(values.results), values.format)


def _show(record: Mapping[str, Any], style: str = "text") -> int:
  print(f"{FORMATS[style](*table(record))}\n\n{note(record)}")
  return 0


def _parse(argv: Sequence[str], values: flags.FlagValues) -> None:
  command_line.parse_flags(argv, values)


COMMANDS = {"run": run, "report": report}


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""

  def call(argv: Sequence[str]) -> int:
    name, *rest = argv or [""]
    if name not in COMMANDS:
      raise errors.UserError(
        f"The first argument must be {' or '.join(COMMANDS)}; got {name!r}."
      )
    return COMMANDS[name](rest)

  return command_line.answer(call, argv, __doc__, define_flags(*COMMANDS))


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
