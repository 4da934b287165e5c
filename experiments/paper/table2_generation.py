"""Table 2, other lines: last-frame FID of samples from models of tokens.

  python -m experiments run table2_generation --dataset=digits
  python -m experiments report table2_generation --dataset=digits

`run` trains the tokenizers first where they are missing; they are rows of
`table2_reconstruction`, in the same folders. The paper's data sets are
cifar10 and celeb_a, with --preset=paper; its finding is that 8 frames lower the
FID of samples, and 18 on CIFAR-10 less so.

Ours besides: the same models over the recommended tokenizers, over those that
take patches as they are, and over images with as many tokens as 8 frames; and
other ways to sample: other numbers of passes, MaskGit's rule where the rows
decode as Phenaki does, a critic, nucleus sampling. Of next-token models the
likelihood of held-out tokens is measured, which compares models of the same
tokens only.
"""

import dataclasses
from collections.abc import Sequence

from configs import token_prior
from experiments.rows import tokenizer
from experiments.rows.base import Overrides, Row, Table
from experiments.running import commands
from pseudovideo.samplers import masked

PRESETS = token_prior.PRESETS


def _decoding(rule: str, **changes: object) -> dict[str, object]:
  """Overrides for the published decoding by a rule, some fields changed."""
  fields = dataclasses.asdict(masked.PRESETS[rule]) | changes
  return {f"sampler.{name}": value for name, value in fields.items()}


def _row(order: str, first_stage: Row, **fields: object) -> Row:
  overrides = fields.pop("overrides", {})
  if order == "masked":
    overrides = _decoding("phenaki") | overrides
  return Row(
    f"{order}_{first_stage.name}",
    f"{order}, {first_stage.label.replace(', ours', '')}",
    token_prior,
    {"order": order},
    overrides=overrides,
    first_stage=first_stage,
    **fields,
  )


def _sampled(source: Row, name: str, label: str, overrides: Overrides) -> Row:
  """The weights of a row, sampled in another way."""
  return Row(
    f"{source.name}_{name}",
    label,
    source.module,
    source.arguments,
    overrides=overrides,
    weights_from=dict.fromkeys(PRESETS, source),
    is_control=True,
  )


PAPER = {
  "next": (
    {"cifar10": 91.65, "celeb_a": 32.98},
    {"cifar10": 54.60, "celeb_a": 30.19},
    {"cifar10": 69.23, "celeb_a": 28.08},
  ),
  "masked": (
    {"cifar10": 89.78, "celeb_a": 27.34},
    {"cifar10": 35.50, "celeb_a": 16.87},
    {"cifar10": 47.65, "celeb_a": 16.66},
  ),
}
PUBLISHED = [
  _row(order, first_stage, paper=paper)
  for order, scores in PAPER.items()
  for first_stage, paper in zip(tokenizer.PUBLISHED, scores, strict=True)
]
RECOMMENDED = {
  (order, first_stage.name): _row(order, first_stage, is_control=True)
  for order in PAPER
  for first_stage in (
    *tokenizer.RECOMMENDED,
    tokenizer.RECOMMENDED_1_RAW,
    tokenizer.RECOMMENDED_8_RAW,
    tokenizer.RECOMMENDED_1_TOKENS_RAW,
  )
}
# The tokenizer that reconstructs best: how tokens are drawn is seen best.
RAW = tokenizer.RECOMMENDED_1_RAW
NEXT, MASKED = (RECOMMENDED[order, RAW.name] for order in PAPER)
MASKED_8 = RECOMMENDED["masked", tokenizer.RECOMMENDED_8_RAW.name]
CRITIC = dataclasses.replace(
  _row("masked", RAW, overrides={"task.critic": "separate"}, is_control=True),
  name=f"{MASKED.name}_critic",
  label="masked, raw, critic",
)
SAMPLED = (
  _sampled(NEXT, "top_p", "next, raw, likeliest 95%", {"sampler.top_p": 0.95}),
  *(
    _sampled(
      MASKED,
      f"passes_{steps}",
      f"masked, raw, Phenaki {steps}",
      _decoding("phenaki", steps=steps),
    )
    for steps in (4, 8, 32)
  ),
  *(
    _sampled(
      source,
      name,
      f"masked, {frames}raw, MaskGit {steps}",
      _decoding("maskgit", steps=steps),
    )
    for source, frames, name, steps in (
      (MASKED, "", "maskgit", 12),
      (MASKED, "", "maskgit_4", 4),
      (MASKED, "", "maskgit_8", 8),
      (MASKED, "", "maskgit_24", 24),
      (MASKED_8, "8 ", "maskgit", 12),
    )
  ),
)

WORDS = {
  "next": "tokens predicted one after the other",
  "masked": "masked tokens predicted together",
  "published": tokenizer.WORDS["published"],
  "raw": tokenizer.WORDS["raw"],
  "dense": tokenizer.WORDS["dense"],
  "critic": "a second network judges which tokens are masked again",
  "likeliest 95%": "drawn from the likeliest tokens with 95% of the mass",
  "Phenaki": "its rule, with the number of passes",
  "MaskGit": "its rule, with the number of passes",
}
TABLE = Table(
  "table2_generation",
  "Table 2: samples of models of tokens of 1, 8 and 18 frames",
  tokenizer.FAMILY,
  (*PUBLISHED, *RECOMMENDED.values(), CRITIC, *SAMPLED),
  words=WORDS,
)


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return commands.table_main(TABLE, __doc__, argv)
