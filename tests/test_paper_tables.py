"""Every preset `paper` against the paper's Tables 7 to 10, line by line.

The tables are copied as they are printed, one column for each number of frames.
The tables' hidden dimension equals the embedding dimension throughout; both are
the width of the network.
"""

import pytest

from configs import token_prior, tokenizer, video_diffusion
from pseudovideo.config import comparing, parsing

COLUMNS = {"7": (1, 8, 18), "8": (1, 8, 18), "9": (1, 8, 18), "10": (1, 4, 8)}
LAYERS, WIDTH = "Number of layers", "Embedding dimension"
HIDDEN, HEADS = "Hidden dimension", "Number of heads"
RATE, SCHEDULE = "Learning rate", "Learning rate scheduler"
STEPS, BATCH = "Number of training steps", "Batch size"
TABLES = {
  "7": {
    "Number of spatial layers": "8 4 4",
    "Number of temporal layers": "- 4 4",
    WIDTH: "512 512 512",
    HIDDEN: "512 512 512",
    HEADS: "8 8 8",
    RATE: "1e-4 1e-4 1e-4",
    SCHEDULE: "cosine cosine cosine",
    STEPS: "100k 100k 100k",
    BATCH: "64 64 64",
  },
  "8": {
    LAYERS: "8 8 8",
    WIDTH: "144 144 144",
    HIDDEN: "144 144 144",
    HEADS: "4 4 4",
    RATE: "1e-4 1e-4 1e-4",
    SCHEDULE: "cosine cosine cosine",
    STEPS: "100k 100k 100k",
    BATCH: "64 64 64",
  },
  "9": {
    LAYERS: "6 6 6",
    WIDTH: "512 512 512",
    HIDDEN: "512 512 512",
    HEADS: "8 8 8",
    RATE: "1e-4 1e-4 1e-4",
    SCHEDULE: "cosine cosine cosine",
    STEPS: "200k 200k 200k",
    BATCH: "64 64 64",
  },
  "10": {
    "Number of downsampling/upsampling layers": "4 4 4",
    "Number of residual blocks": "2 2 2",
    "Base channel size": "128 128 128",
    "Number of diffusion steps per generating a frame": "1000 1000 1000",
    RATE: "1e-4 1e-4 1e-4",
    STEPS: "500k 500k 500k",
    BATCH: "32 32 32",
  },
}
# Line of a table -> field of a config.
FIELDS = {
  "Number of spatial layers": "model.spatial_layers",
  "Number of temporal layers": "model.temporal_layers",
  LAYERS: "model.layers",
  WIDTH: "model.width",
  HIDDEN: "model.width",
  HEADS: "model.heads",
  "Number of downsampling/upsampling layers": "model.multipliers",
  "Number of residual blocks": "model.blocks",
  "Base channel size": "model.channels",
  "Number of diffusion steps per generating a frame": "process.steps",
  RATE: "optimizer.learning_rate",
  SCHEDULE: "optimizer.schedule",
  STEPS: "train.steps",
  BATCH: "train.batch_size",
}


def config(table, frames, dataset):
  """The complete config of a column."""
  start = f"dataset={dataset},preset=paper"
  raw = {
    "7": lambda: tokenizer.get_config(f"{start},frames={frames}"),
    # Their number of frames is that of the tokenizer's run.
    "8": lambda: token_prior.get_config(f"{start},order=next"),
    "9": lambda: token_prior.get_config(f"{start},order=masked"),
    "10": lambda: video_diffusion.get_config(f"{start},frames={frames}"),
  }[table]()
  return comparing.flatten(parsing.complete(raw))


def number(text):
  """What a cell says: "500k", "1e-4", "cosine", and "-" for none."""
  if text == "-":
    return 0
  if text.endswith("k"):
    return 1000 * int(text[:-1])
  return text if text.isalpha() else float(text)


@pytest.mark.parametrize("table", TABLES)
def test_every_line_of_a_table(table):
  lines = TABLES[table]
  assert len(lines) == {"7": 9, "8": 8, "9": 8, "10": 7}[table]
  wrong = []
  for dataset in ("cifar10", "celeb_a"):
    for column, frames in enumerate(COLUMNS[table]):
      found = config(table, frames, dataset)
      for line, cells in lines.items():
        value = found[FIELDS[line]]
        if FIELDS[line] == "model.multipliers":
          value = len(value)
        if value != number(cells.split()[column]):
          wrong.append((dataset, frames, line, value))
  assert not wrong


def test_the_constant_rate_of_table_10():
  """It names no scheduler where the other three do."""
  assert SCHEDULE not in TABLES["10"]
  assert config("10", 4, "cifar10")[FIELDS[SCHEDULE]] == "constant"
