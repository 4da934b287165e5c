# %% [markdown]
# # Train on pseudo videos, sample the last frame
#
# One run on a GPU or TPU (or, for digits, a CPU), with checkpoints on Google
# Drive. **After a disconnect, open the notebook again and choose "Run all"**:
# the run resumes from its newest good checkpoint and ends in the same bits as
# one that was never interrupted on that device. The stop button saves first,
# too.

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
# `small` takes about ten minutes for digits on two CPU cores, and wants a GPU
# for larger images; `paper` is the published setting of 500,000 updates.
# `STEPS = 0` is the preset's own number; a finished run can be made longer.
# MNIST, CIFAR-10 and CelebA need `python -m pseudovideo.data.prepare NAME`
# before.

# %%
# @title Settings
PRESET = "small"  # @param ["small", "tiny", "paper"]
DATASET = "digits"  # @param ["digits", "mnist", "cifar10", "celeb_a"]
FRAMES = "4"  # @param ["1", "2", "4", "8", "12", "18"]
AUGMENTATION = "high_order"  # @param ["high_order", "first_order", "blur"]
STEPS = 0  # @param {type:"integer"}
SAVE_EVERY = 500  # @param {type:"integer"}
PRESET = os.environ.get("PRESET", PRESET)
STEPS = int(os.environ.get("STEPS", STEPS))

# %%
import pathlib

import jax

from configs import video_diffusion
from experiments.reporting import notebook
from experiments.running import work
from pseudovideo import runs
from pseudovideo.evaluation import evaluate
from pseudovideo.report import drawing, page
from pseudovideo.report import run as run_report
from pseudovideo.runs import metric_log, sample_files
from pseudovideo.terminal import command_line
from pseudovideo.training import loop

command_line.set_up()
print("devices:", jax.devices())

# %% [markdown]
# ## Where the run lies
#
# On Drive if this is Colab, else in `runs`. The config travels in the
# checkpoint; other settings get another folder.

# %%
ROOT = "runs"
if "google.colab" in sys.modules:
  from google.colab import drive

  drive.mount("/content/drive")
  ROOT = "/content/drive/MyDrive/pseudovideo/runs"

argument = f"dataset={DATASET},frames={FRAMES},preset={PRESET}"
name = "one_frame"
if FRAMES != "1":
  argument += f",augmentation={AUGMENTATION}"
  name = f"{AUGMENTATION}_{FRAMES}"
config = video_diffusion.get_config(argument)
config.train.steps = STEPS or config.train.steps
config.train.save_every = SAVE_EVERY
WORKDIR = pathlib.Path(ROOT, f"{DATASET}-{PRESET}", name)
step = work.newest_step(WORKDIR)
print(config.title)
print(f"{WORKDIR}: {'new' if step is None else f'resumes from step {step:,}'}")

# %% [markdown]
# ## Train
#
# The loop that every model of the project has: `python -m pseudovideo.main
# --mode=train` calls the same function.

# %%
outcome = loop.train(config, WORKDIR)
if outcome.stopped_by is not None:
  print(command_line.stop_sentence(outcome))
curves = page.Report(config.title)
run_report.add_curves(curves, {"": metric_log.read_metrics(WORKDIR)})
notebook.show_page(curves, "curves.html")

# %% [markdown]
# ## Sample and score
#
# From the averaged weights. The scores are over a classifier that the project
# trains on the training images, beside those of held-out images: they are
# named after it and are no FID.

# %%
run = runs.restore(WORKDIR, config=config)
record = evaluate.evaluate(run)
drawn = sample_files.load(WORKDIR / sample_files.NAME)
notebook.picture("samples", drawing.grid(drawn.images[:64]))

# %% [markdown]
# How they came about: generated videos, the marked last frame is the sample.

# %%
notebook.picture("generated_videos", drawing.film_strip(drawn.videos))

# %% [markdown]
# What the model was trained on:

# %%
notebook.picture(
  "pseudo_videos", drawing.film_strip(evaluate.pseudo_videos(run))
)

# %% [markdown]
# ## Everything on one page
#
# Beside it in the run's folder are `results.json` with what is needed to quote
# a score, `metrics.jsonl`, `tensorboard/` and `checkpoints/`.

# %%
notebook.show_file(WORKDIR / "report.html")
