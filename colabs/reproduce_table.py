# %% [markdown]
# # Reproduce a table
#
# Runs rows of a table of the paper and prints the table: the paper's value,
# ours, and its cost. Rows that are done are skipped, one that was interrupted
# resumes, so that "Run all" after a disconnect is enough; the runs lie on
# Google Drive.

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
# `tiny` only shows that everything runs; its scores mean nothing. A row of
# table 3 takes 1 to 20 minutes with `small` for digits on two CPU cores;
# `paper` is the published setting. Without any `ROWS` all are run; an unknown
# one is answered with the names that there are. `python -m experiments list`
# says what other tables and figures there are. Data sets other than digits
# need `python -m pseudovideo.data.prepare NAME` before.

# %%
# @title Settings
TABLE = "table3"  # @param ["table1", "table3", "table4", "table5"]
PRESET = "small"  # @param ["small", "tiny", "paper"]
DATASET = "digits"  # @param ["digits", "mnist", "cifar10", "celeb_a"]
ROWS = "one_frame,high_order_4"  # @param {type:"string"}
SEEDS = "0"  # @param {type:"string"}
PRESET = os.environ.get("PRESET", PRESET)

# %%
from experiments import __main__ as front
from experiments.reporting import notebook


def experiments(*words):
  """Runs `python -m experiments WORDS` in this process."""
  print("python -m experiments", *words, flush=True)
  if code := front.main(words):
    raise RuntimeError(f"It ended with exit code {code}; see above.")


# %% [markdown]
# ## The rows, and how far they are

# %%
ROOT = "runs"
if "google.colab" in sys.modules:
  from google.colab import drive

  drive.mount("/content/drive")
  ROOT = "/content/drive/MyDrive/pseudovideo/runs"

chosen = [f"--preset={PRESET}", f"--dataset={DATASET}", f"--root={ROOT}"]
some = [f"--rows={ROWS}"] * bool(ROWS) + [f"--seeds={SEEDS}"] * bool(SEEDS)
experiments("run", TABLE, *chosen, *some, "--dry-run")

# %% [markdown]
# ## Train, sample and score what is missing

# %%
experiments("run", TABLE, *chosen, *some)

# %% [markdown]
# ## The table
#
# An FID is only shown where the published Inception weights are on the
# machine; scores over our own classifiers are named after them, and cannot be
# compared with it.

# %%
experiments("report", TABLE, *chosen, *some)

# %% [markdown]
# ## One page with all tables that were run here
#
# With links to the report of every run. `--results=results`, in a checkout of
# the project, makes the page of the published results.

# %%
experiments("report", f"--root={ROOT}", f"--out={ROOT}/report.html")
notebook.show_file(f"{ROOT}/report.html")
