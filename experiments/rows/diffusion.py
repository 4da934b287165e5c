"""Rows of Sec. 4.2: video diffusion on pseudo videos, and image diffusion.

Tables 3, 4 and 5 and Figure 7 share them. The paper scores the last frame by
FID with 10,000 samples.

Ours beside the paper's are other numbers of frames, for `frame_sweep`, and
controls. High-order frames are no Markov chain but
also cleaner than first-order ones of the same betas: `matched_snr` is a
first-order chain as clean as they. The 4-frame model costs more than the image
model: `one_frame_flops` trains as long as it, `one_frame_evals` evaluates its
network as often for a sample.
"""

from configs import video_diffusion
from experiments.rows.base import Row, scaled

FAMILY = "diffusion"
SEEDS = {"small": (0, 1, 2)}
WORDS = {
  "first order": "a frame is a noisy version of the next one",
  "high order": "a frame is a noisy version of the mean of all later ones",
  "matched SNR": "first order, as clean as high order",
  "high-order blur": "a frame is the blurred mean of all later ones",
  "4,000 steps": "a chain of 4 times as many steps, respaced alike",
  "FLOPs of 4": "trained for the FLOPs of 4 frames",
  "evaluations of 4": "as many evaluations of the network as 4 frames",
}

# A training step of the 4-frame network, on windows of 3 frames, takes 3.1 to
# 3.3 times the FLOPs of the image network's, in every preset.
FLOPS_OF_4_FRAMES = 3.2


def _chain(steps: int) -> dict[str, dict[str, object]]:
  """A chain of `steps` where the presets have 1,000, respaced alike."""
  return {
    "paper": {"process.steps": steps},
    "small": {
      "process.steps": steps,
      "sampler.respacing": str(50 * steps // 1000),
    },
    "tiny": {
      "process.steps": 40 * steps // 1000,
      "sampler.respacing": str(4 * steps // 1000),
    },
  }


def _video(augmentation: str, frames: int, label: str, **fields: object) -> Row:
  return Row(
    f"{augmentation}_{frames}",
    f"{frames} frames, {label}",
    video_diffusion,
    {"frames": frames, "augmentation": augmentation},
    **fields,
  )


ONE_FRAME = Row(
  "one_frame",
  "1 frame",
  video_diffusion,
  {"frames": 1},
  paper={"cifar10": 12.90, "celeb_a": 7.76},
  seeds=SEEDS,
)
FIRST_ORDER_4 = _video(
  "first_order",
  4,
  "first order",
  paper={"cifar10": 17.30, "celeb_a": 13.61},
  seeds=SEEDS,
)
FIRST_ORDER_8 = _video(
  "first_order", 8, "first order", paper={"cifar10": 15.90, "celeb_a": 12.64}
)
HIGH_ORDER_4 = _video(
  "high_order",
  4,
  "high order",
  paper={"cifar10": 12.58, "celeb_a": 6.88},
  seeds=SEEDS,
)
HIGH_ORDER_8 = _video(
  "high_order", 8, "high order", paper={"cifar10": 12.80, "celeb_a": 7.55}
)
HIGH_ORDER_2, HIGH_ORDER_12, HIGH_ORDER_18 = (
  _video("high_order", frames, "high order", is_control=True)
  for frames in (2, 12, 18)
)
HIGH_ORDER_BLUR_4 = _video(
  "high_order_blur", 4, "high-order blur", paper={"cifar10": 15.33}
)
HIGH_ORDER_BLUR_8 = _video(
  "high_order_blur", 8, "high-order blur", paper={"cifar10": 22.63}
)
ONE_FRAME_4K = Row(
  "one_frame_4k",
  "1 frame, 4,000 steps",
  video_diffusion,
  {"frames": 1},
  by_preset=_chain(4000),
  paper={"cifar10": 11.95, "celeb_a": 7.87},
)

MATCHED_SNR_4 = _video("matched_snr", 4, "matched SNR", is_control=True)
MATCHED_SNR_8 = _video("matched_snr", 8, "matched SNR", is_control=True)
ONE_FRAME_FLOPS = Row(
  "one_frame_flops",
  "1 frame, FLOPs of 4",
  video_diffusion,
  {"frames": 1},
  overrides={"train.steps": scaled(FLOPS_OF_4_FRAMES)},
  is_control=True,
)
# Where presets respace, the trained chain has enough steps for three times as
# many evaluations; where all steps are taken, a longer one must be trained.
ONE_FRAME_EVALS = Row(
  "one_frame_evals",
  "1 frame, evaluations of 4",
  video_diffusion,
  {"frames": 1},
  by_preset={
    "paper": {"process.steps": 3000},
    "small": {"sampler.respacing": "150"},
    "tiny": {"sampler.respacing": "12"},
  },
  weights_from={"small": ONE_FRAME, "tiny": ONE_FRAME},
  is_control=True,
)
