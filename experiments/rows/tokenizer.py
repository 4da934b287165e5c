"""Rows of Sec. 3: tokenizers of images and of pseudo videos.

Tables 2 and 6 and Figures 4 and 5 share them. The paper scores reconstructions
of the last frame, by FID in Table 2 and by PSNR in Table 6.

The paper's rows are its configs as published, where few codes are used and the
image model alone trains without its adversarial loss. Ours beside them are the
same three with the recommended recipe, and controls: image and video model each
with the adversarial loss and without it; `published_1_deep`, of which a
footnote says that it is no better.

`recommended_1_tokens` is a control that nobody has published. An 8-frame video
has 4 times the tokens of its image, and all that is in them comes from the
image, so that the paper's gain may be one of bits alone. Here patches have half
the sides, and the image gets as many tokens by itself. `published_2` asks the
same from the other side: an image and one blurred version of it make one slice
of tubelets, so that a pseudo video has no more tokens than its image.

The encoder's first layer is a LayerNorm over the numbers of a patch, as in the
published code. It takes brightness and contrast of every patch away, which a
single image shows nowhere else, while blurred frames carry them across the
borders of patches: the paper's image model cannot see them, its video models
can. The rows `.._raw` go without that layer; at equal numbers of tokens it is
`recommended_1_tokens_raw` that `recommended_8_raw` must beat.

Normalised, a patch of one number becomes 0: on digits `recommended_1_tokens`
has such patches and says nothing. Images of mnist have no side for the
discriminator, which `published_1_gan` needs; choose other rows there.
"""

import dataclasses

from configs import tokenizer
from experiments.rows.base import Row, scaled

FAMILY = "tokenizer"

# Table 6, by the number of frames.
PSNR = {
  1: {"cifar10": 17.20, "celeb_a": 20.52},
  8: {"cifar10": 21.86, "celeb_a": 24.66},
  18: {"cifar10": 25.89, "celeb_a": 29.68},
}
# In labels.
RECIPES = {"as_published": "published", "recommended": "ours"}
WORDS = {
  "published": "the config as the paper's code has it",
  "ours": "the recommended recipe of docs/systems/tokenizers.md",
  "GAN": "the adversarial loss",
  "raw": "without the LayerNorm over the numbers of a patch",
  "dense": "patches with half the sides, four times the tokens",
  "deeper": "1.5 times the layers",
}


def by_psnr(row: Row) -> Row:
  """The row, trained once for both tables, with the paper's PSNR."""
  if not row.paper:
    return row
  return dataclasses.replace(row, paper=PSNR[row.arguments["frames"]])


def _row(recipe: str, frames: int, more: str = "", **fields: object) -> Row:
  words = f"{frames} frame{'s' * (frames > 1)}, {RECIPES[recipe]}"
  return Row(
    "_".join(filter(None, (recipe.removeprefix("as_"), str(frames), more))),
    f"{words}, {fields.pop('label')}" if "label" in fields else words,
    tokenizer,
    {"frames": frames, "recipe": recipe},
    **fields,
  )


def _half_sides(patch: tuple[int, int, int]) -> tuple[int, int, int]:
  """Halves rows and columns of a patch of (frames, rows, columns)."""
  frames, rows, columns = patch
  return frames, rows // 2, columns // 2


PUBLISHED_1 = _row(
  "as_published", 1, paper={"cifar10": 84.25, "celeb_a": 24.62}
)
PUBLISHED_8 = _row("as_published", 8, paper={"cifar10": 13.81, "celeb_a": 5.72})
PUBLISHED_18 = _row(
  "as_published", 18, paper={"cifar10": 11.26, "celeb_a": 2.27}
)

RECOMMENDED_1 = _row("recommended", 1, is_control=True)
RECOMMENDED_8 = _row("recommended", 8, is_control=True)
RECOMMENDED_18 = _row("recommended", 18, is_control=True)

PUBLISHED_1_GAN = _row(
  "as_published",
  1,
  "gan",
  label="GAN",
  overrides={"task.adversarial": True},
  is_control=True,
)
# 12 layers in the preset of the paper.
PUBLISHED_1_DEEP = _row(
  "as_published",
  1,
  "deep",
  label="deeper",
  overrides={"model.spatial_layers": scaled(1.5)},
  is_control=True,
)
RECOMMENDED_1_TOKENS = _row(
  "recommended",
  1,
  "tokens",
  label="dense",
  overrides={"model.patch": _half_sides},
  is_control=True,
)

PUBLISHED_8_NO_GAN, RECOMMENDED_1_NO_GAN, RECOMMENDED_8_NO_GAN = (
  _row(
    recipe,
    frames,
    "no_gan",
    label="no GAN",
    overrides={"task.adversarial": False},
    is_control=True,
  )
  for recipe, frames in (
    ("as_published", 8),
    ("recommended", 1),
    ("recommended", 8),
  )
)

PUBLISHED_1_RAW, PUBLISHED_8_RAW, RECOMMENDED_1_RAW, RECOMMENDED_8_RAW = (
  _row(
    recipe,
    frames,
    "raw",
    label="raw",
    overrides={"model.normalised_patches": False},
    is_control=True,
  )
  for recipe in ("as_published", "recommended")
  for frames in (1, 8)
)

RECOMMENDED_1_TOKENS_RAW = _row(
  "recommended",
  1,
  "tokens_raw",
  label="raw, dense",
  overrides={"model.patch": _half_sides, "model.normalised_patches": False},
  is_control=True,
)

PUBLISHED_2 = Row(
  "published_2",
  "2 frames, published",
  tokenizer,
  {"frames": 8, "recipe": "as_published"},
  overrides={"augmentation.frames": 2, "model.frames": 2},
  is_control=True,
)

PUBLISHED = (PUBLISHED_1, PUBLISHED_8, PUBLISHED_18)
RECOMMENDED = (RECOMMENDED_1, RECOMMENDED_8, RECOMMENDED_18)
ROWS = (
  *PUBLISHED,
  PUBLISHED_1_GAN,
  PUBLISHED_8_NO_GAN,
  PUBLISHED_1_DEEP,
  PUBLISHED_1_RAW,
  PUBLISHED_8_RAW,
  PUBLISHED_2,
  *RECOMMENDED,
  RECOMMENDED_1_NO_GAN,
  RECOMMENDED_8_NO_GAN,
  RECOMMENDED_1_RAW,
  RECOMMENDED_8_RAW,
  RECOMMENDED_1_TOKENS,
  RECOMMENDED_1_TOKENS_RAW,
)
