# %% [markdown]
# # Pseudo videos: build and look
#
# An image can be made the last frame of a short video whose earlier frames are
# corrupted versions of it. A video model that is trained on such videos has
# more to learn from than the image, and generates the image as its last frame.
# This notebook shows the data, every corruption that is there, and a number
# that says what the earlier frames of each tell about the next one. It trains
# no network and needs no accelerator.

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
# `tiny` looks at fewer images. MNIST and CIFAR-10 need `python -m
# pseudovideo.data.prepare mnist` (or `cifar10`) before.

# %%
# @title Settings
PRESET = "small"  # @param ["small", "tiny"]
DATASET = "digits"  # @param ["digits", "mnist", "cifar10"]
FRAMES = 4  # @param ["4", "8"] {type:"raw"}
PRESET = os.environ.get("PRESET", PRESET)
SHOWN, PROBED = {"tiny": (2, 100), "small": (3, 1000)}[PRESET]

# %%
import jax
import numpy as np

from configs import video_diffusion
from experiments.reporting import notebook, pictures
from experiments.studies import show_augmentations
from pseudovideo import augmentations, data, keys, pixels
from pseudovideo.config import parsing
from pseudovideo.probe import measure, report, videos
from pseudovideo.report import composing, drawing

# %% [markdown]
# ## The images
#
# Held in memory as uint8 `(N, H, W, C)`; a model sees float32 in [-1, 1].

# %%
image_set = data.load(DATASET)
print(image_set.source)
print("to train on:", image_set.train_images.shape)
print("held out:", image_set.test_images.shape)
notebook.picture(
  "images", drawing.grid(data.spread(image_set.train_images, 64))
)

# %% [markdown]
# ## Every corruption
#
# Time goes from left to right; the marked last frame is the image. Noise
# beyond the range of pixels is clipped in the picture only. `high_order` adds
# noise to the mean of all later frames, so that no frame follows from the next
# one alone; `first_order` is a chain. `matched_snr` is a chain as clean as
# `high_order`.

# %%
key = jax.random.key(0)
chosen = data.spread(image_set.train_images, SHOWN)
variants = show_augmentations.variants(chosen.shape[1])
strips = {
  label: pictures.pseudo_videos(one, chosen, keys.named(key, label))
  for label, one in variants.items()
}
notebook.picture("augmentations", composing.labelled(strips))

# %% [markdown]
# ## How far each frame is from the image
#
# Root mean squared difference, in the units of [-1, 1], by the number of
# frames before the image. It is 0 for the last frame, bit for bit.

# %%
floats = pixels.to_float(jax.numpy.asarray(chosen), (-1.0, 1.0))
rows = []
for label, augmentation in variants.items():
  video = np.asarray(jax.jit(augmentation)(floats, key=key), np.float64)
  assert (video[:, -1] == np.asarray(floats)).all()
  error = video - np.asarray(floats, np.float64)[:, None]
  rms = np.sqrt(np.square(error).mean((0, 2, 3, 4)))[::-1]
  cells = [f"{value:.3f}" for value in rms[:8]]
  rows.append([label, *cells, *[""] * (8 - len(cells))])
notebook.table(["frames before the image", *map(str, range(8))], rows)

# %% [markdown]
# ## The idea
#
# Theorem 4.1 of the paper: given more earlier frames, the least error of the
# next one is never larger. How much smaller is it? For a first-order chain not
# at all, since the frame just before says everything. The table fits the best
# linear predictor of each frame from the frames before it, and ranks
# corruptions by the error that all earlier frames save beyond the previous
# one, on held-out images. It takes seconds, and comes before any training.
# (Blur loses nothing and draws nothing: there it says what linear predictors
# of a small window can do.) Whether it predicts the scores of trained models
# is another question, which `docs/frames.md` answers.

# %%
found = []
for name in augmentations.TABLE:
  if name == "identity":
    continue
  argument = f"dataset={DATASET},frames={FRAMES},augmentation={name}"
  config = parsing.parse(video_diffusion.get_config(argument))
  source = videos.source(config, image_set)
  made = videos.make(source.task, image_set, num=PROBED, seed=0)
  measured = measure.measure(made, measure.Settings(num=PROBED, steps=0))
  found.append({"label": source.label, **measured})
notebook.table(*report.ranking(found))
print(report.RULE, report.cost(found), sep="\n")

# %% [markdown]
# ## Next
#
# `train_and_sample` trains a model on such videos, `reproduce_table` runs the
# rows of a table of the paper, and `your_own_pseudo_video` begins with a
# corruption of your own.
