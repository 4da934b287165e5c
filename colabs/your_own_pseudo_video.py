# %% [markdown]
# # Your own pseudo video
#
# Write a corruption, look at it, probe it before any training, train a model
# on it, and see its row beside a stock one and the image alone.

# %%
# @title Install {display-mode: "form"}
import importlib.util
import os
import shutil
import subprocess
import sys

REPOSITORY = ""  # @param {type:"string"}
# A mere folder of that name, such as a clone, is found without an origin.
origin = getattr(importlib.util.find_spec("pseudovideo"), "origin", None)
# `configs` and `experiments` are not installed: they are in a clone alone.
clone = os.path.dirname(os.path.dirname(origin or ""))
if not os.path.isfile(f"{clone}/setup.py"):
  clone = "/content/pseudovideo"
  if not os.path.isdir(clone):
    if not REPOSITORY:
      raise SystemExit(f"Say in REPOSITORY what to clone, or upload {clone}.")
    subprocess.run(["git", "clone", "-q", REPOSITORY, clone], check=True)
  tpu = os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0")
  extra = "cuda," if shutil.which("nvidia-smi") else "tpu," if tpu else ""
  pip = [sys.executable, "-m", "pip", "install", "-q"]
  subprocess.run([*pip, f"{clone}[{extra}features]"], check=True)
  importlib.invalidate_caches()
sys.path.insert(0, clone)

# %% [markdown]
# ## Settings
#
# `small` takes about half an hour on two CPU cores, for digits.

# %%
# @title Settings
PRESET = "small"  # @param ["small", "tiny"]
DATASET = "digits"  # @param ["digits", "mnist", "cifar10"]
PRESET = os.environ.get("PRESET", PRESET)

# %%
import dataclasses

import jax
import numpy as np

from configs import video_diffusion
from experiments.reporting import notebook, pictures, report, tables
from experiments.rows import base, diffusion
from experiments.running import runner
from pseudovideo import augmentations, data
from pseudovideo.augmentations import common
from pseudovideo.probe import measure, videos
from pseudovideo.probe import report as probe_report
from pseudovideo.report import composing, drawing, page
from pseudovideo.report import run as run_report
from pseudovideo.runs import metric_log, sample_files
from pseudovideo.terminal import command_line

command_line.set_up()

# %% [markdown]
# ## Write it
#
# A frozen dataclass with `frames`, which maps float32 images `(B, H, W, C)`
# and a key to videos `(B, T, H, W, C)`: the most corrupted frame first, the
# image last, bit for bit. Here a mosaic, whose tiles are half as wide from
# frame to frame: the image comes into being from coarse to fine. It draws
# nothing; one that does takes its noise from `pseudovideo.keys`, as
# `augmentations/noise.py` does.


# %%
def tile_means(side, frames):
  """(T - 1, side, side) float64: means over tiles of 2^(T - 1) .. 2 pixels."""
  tile = np.arange(side) // 2 ** np.arange(frames - 1, 0, -1)[:, None]
  same = tile[:, :, None] == tile[:, None]
  return same / same.sum(-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Mosaic:
  """Means over tiles, which are half as wide from frame to frame."""

  frames: int = 4

  def __call__(self, pictures, *, key=None):
    means = [tile_means(side, self.frames) for side in pictures.shape[1:3]]
    return common.append_image(common.filter_axes(pictures, *means), pictures)


# %% [markdown]
# ## Register it, and look
#
# In two places: where names become corruptions, and where the config file says
# which it knows.

# %%
augmentations.TABLE["mosaic"] = Mosaic
video_diffusion.AUGMENTATIONS += ("mosaic",)
image_set = data.load(DATASET)
chosen = data.spread(image_set.train_images, 3)
strips = {}
for name in ("mosaic", "high_order_blur"):
  made = augmentations.make(name, frames=4)
  strips[name] = pictures.pseudo_videos(made, chosen, jax.random.key(0))
notebook.picture("mosaic", composing.labelled(strips))

# %% [markdown]
# ## Say what must be true of it
#
# The last frame is the image, and tiles keep its mean. In the project these
# lines are its test.

# %%
floats = np.float32(chosen) / 127.5 - 1
video = np.asarray(Mosaic()(floats))
means = video.mean((2, 3))
assert (video[:, -1] == floats).all()
assert np.abs(means - means[:, -1:]).max() < 1e-5

# %% [markdown]
# ## Rows for it
#
# A row is a config in words. Ours is a stock corruption's with another
# name; the image alone is the baseline.

# %%
stock = diffusion.HIGH_ORDER_BLUR_4
ours = {"frames": 4, "augmentation": "mosaic"}
mine = dataclasses.replace(
  stock, name="mosaic_4", label="4 frames, mosaic", paper={}, arguments=ours
)
chosen_rows = (diffusion.ONE_FRAME, stock, mine)
table = base.Table("mine", "A mosaic beside a blur", "mine", chosen_rows)
jobs = base.jobs(table.rows, DATASET, PRESET, seeds=[0])

# %% [markdown]
# ## Probe it
#
# How much less error a linear predictor and a small network make of a frame
# when they are given all earlier frames and not the previous one alone. With
# real training beside it, see `docs/frames.md` on what such a ranking is worth.

# %%
sizes = {"tiny": (100, 0), "small": (1000, 200)}[PRESET]
settings = measure.Settings(num=sizes[0], steps=sizes[1], networks=1)
found = []
for job in jobs[1:]:
  source = videos.source(job.config, image_set)
  made = videos.make(source.task, image_set, num=settings.num, seed=0)
  found.append({"label": source.label, **measure.measure(made, settings)})
notebook.table(*probe_report.ranking(found))
print(probe_report.RULE, probe_report.cost(found), sep="\n")

# %% [markdown]
# ## Train it, and the rows beside it
#
# Rows that are done are skipped; one that was stopped resumes.

# %%
assert runner.run(jobs, "runs") == 0, "A row did not finish; see above."
logs = {j.row.label: metric_log.read_metrics(j.workdir("runs")) for j in jobs}
curves = page.Report(table.title)
run_report.add_curves(curves, logs)
notebook.show_page(curves, "curves.html")

# %% [markdown]
# ## See its row

# %%
scored = report.collect(jobs, lambda job: job.workdir("runs") / "results.json")
lines = report.score_table(table, table.rows, DATASET, scored)
notebook.table(*tables.without_dashes(*lines))
print(*report.notes(table, table.rows, scored), sep="\n\n")
for job in jobs[1:]:
  drawn = sample_files.load(job.workdir("runs") / sample_files.NAME)
  strip = drawing.film_strip(drawn.videos)
  notebook.picture(f"generated_{job.row.name}", strip)

# %% [markdown]
# ## Keep it
#
# One seed is no result: give `seeds=[0, 1, 2]`. To keep it, move the class
# into `pseudovideo/augmentations/`, name it in the same two places, and make a
# row of it in `experiments/rows/diffusion.py`.
