"""The command: scores of files and folders; every mistake is one sentence."""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import PIL.Image
import pytest

from pseudovideo import convert, data
from pseudovideo.commands import score as command
from pseudovideo.devices import xla
from pseudovideo.metrics import lpips
from pseudovideo.pretrained import (
  classifier,
  efficientnet_lite,
  i3d,
  inception,
  weights,
)
from tests.metrics import pixel_network
from tests.pretrained.networks import inception_reference

SHAPE = (16, 12, 3)


@pytest.fixture(autouse=True)
def compiled_programs_stay_where_they_are(monkeypatch):
  monkeypatch.setattr(xla, "enable_cache", lambda: None)


@pytest.fixture
def home(tmp_path, monkeypatch):
  """Nothing is kept and there are no weights."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  monkeypatch.delenv(weights.VARIABLE, raising=False)
  return tmp_path


@pytest.fixture
def doubles(home, monkeypatch):
  """Networks that need no weights, in place of Inception and I3D."""
  monkeypatch.setattr(
    inception,
    "load",
    lambda path, *, resize, dim: pixel_network.make("inception"),
  )
  monkeypatch.setattr(
    i3d,
    "load",
    lambda path: pixel_network.make("i3d-01234567", frames=9),
  )
  return home


def save(folder, name, array) -> str:
  np.savez(folder / f"{name}.npz", images=array)
  return str(folder / f"{name}.npz")


def save_folder(folder, images) -> str:
  folder.mkdir()
  for number, image in enumerate(images):
    PIL.Image.fromarray(image).save(folder / f"{number:03}.png")
  return str(folder)


@pytest.fixture
def files(home):
  """Two sets and two more that are their partners, as npz files."""
  sets = {
    "samples": pixel_network.images(300, 1, SHAPE),
    "data": pixel_network.images(300, 2, SHAPE) // 2,
  }
  return sets, {name: save(home, name, array) for name, array in sets.items()}


@pytest.fixture
def scores(capsys, tmp_path):
  """Runs the command; returns the records, the whole file and the output."""

  def run(images, against, *argv):
    out = tmp_path / "out" / "scores.json"
    code = command.main(
      [f"--images={images}", f"--against={against}", f"--out={out}", *argv]
    )
    said, complaints = capsys.readouterr()
    assert code == 0, complaints
    text = out.read_text()
    record = json.loads(text)
    assert str(tmp_path) not in text
    assert str(pathlib.Path.home()) not in text
    found = record["metrics"]["scored"]
    for name, one in found.items():
      assert f"{name} " in said and f"{one['value']:.4f}" in said
    return found, record, said

  return run


@pytest.fixture
def sentence(capsys, tmp_path):
  """Runs a command that must be refused; returns what it said."""

  def run(*argv):
    out = tmp_path / "refused.json"
    code = command.main([f"--out={out}", *argv])
    said, complaint = capsys.readouterr()
    assert (code, said) == (2, ""), complaint
    assert complaint.startswith("Error: ") and complaint.count("\n") == 1
    assert complaint.endswith(".\n") and "Traceback" not in complaint
    assert not out.exists()
    return complaint.removeprefix("Error: ").rstrip("\n")

  return run


def distance(x, y):
  """The Frechet distance of two sets of vectors."""
  s1, s2 = np.cov(x.T), np.cov(y.T)
  roots = np.sqrt(np.linalg.eigvals(s1 @ s2).real.clip(0))
  squared = np.square(x.mean(0) - y.mean(0)).sum()
  return squared + np.trace(s1 + s2) - 2 * roots.sum()


# Published weights, as far as the command can tell.


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
  path = tmp_path_factory.mktemp("weights") / "weights.npz"
  convert.write(path, inception_reference.state_dict())
  return path


@pytest.fixture
def published(home, weights_file, monkeypatch):
  """Its batches are of the size that other tests compile."""
  digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
  monkeypatch.setattr(
    weights,
    "INCEPTION",
    weights.Published("Inception", ("weights.npz",), digest, "nowhere"),
  )
  load = inception.load
  monkeypatch.setattr(
    inception,
    "load",
    lambda *args, **kinds: dataclasses.replace(
      load(*args, **kinds), batch_size=4
    ),
  )
  return digest


@pytest.mark.slow("scores with Inception's full size")
def test_fid_of_a_folder_and_of_an_npz_file(
  published, home, weights_file, scores, monkeypatch
):
  """Few images: tr (S1 S2)^(1/2) is a nuclear norm of centred features."""
  x, y = (pixel_network.images(n, n, (32, 32, 3)) for n in (3, 4))
  folder = save_folder(home / "samples", x)
  file, other = save(home, "same", x), save(home, "other", y)
  network = inception.from_state_dict(inception_reference.state_dict())
  x, y = (np.float64(network(some, batch_size=4)[0]) for some in (x, y))
  one, two = ((s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (x, y))
  expected = (
    np.square(x.mean(0) - y.mean(0)).sum()
    + np.square(one).sum()
    + np.square(two).sum()
    - 2 * np.linalg.norm(one @ two.T, "nuc")
  )
  asked = f"--weights={weights_file}"
  of_file, _, said = scores(file, other, asked, "--metrics=FID,KID")
  assert list(of_file) == ["FID", "KID"]
  assert of_file["FID"]["value"] == pytest.approx(expected, rel=1e-5)
  assert "FID of 3 items over 2,048 features: a covariance is singular" in said
  monkeypatch.setenv(weights.VARIABLE, str(weights_file.parent))
  of_folder, record, _ = scores(folder, other)
  assert of_folder["FID"]["value"] == pytest.approx(
    of_file["FID"]["value"], rel=1e-9
  )
  assert of_folder["FID"]["feature_network"]["weights_hash"] == published
  assert list(of_folder) == ["FID", "KID", "IS"]
  assert (record["scored"]["title"], record["scored"]["num"]) == ("samples", 3)


@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_other_weights_are_refused(
  published, home, files, weights_file, sentence, damage
):
  content = bytearray(weights_file.read_bytes())
  content[len(content) // 2] ^= 1
  if damage == "cut":
    content = content[:-9]
  path = home / "other.npz"
  path.write_bytes(content)
  _, paths = files
  said = sentence(
    f"--images={paths['samples']}",
    f"--against={paths['data']}",
    f"--weights={path}",
  )
  assert str(path) in said and "it was cut or altered" in said


# Networks that no folder of weights is needed for.


@pytest.mark.slow("compiles EfficientNet")
@pytest.mark.parametrize("channels", [1, 3])
def test_scores_through_efficientnet(home, files, scores, channels):
  """Grey images are seen as colour images of equal channels."""
  arrays = {
    name: np.repeat(array[:40, :, :, :1], channels, -1)
    for name, array in files[0].items()
  }
  paths = [save(home, f"some_{name}", a) for name, a in arrays.items()]
  found, _, said = scores(*paths, "--network=efflite0", "--metrics=FD,NN,PR")
  kinds = ("FD", "NN", "precision", "recall")
  assert list(found) == [f"{kind}-efflite0" for kind in kinds]
  network = efficientnet_lite.load()
  (x, _), (y, _) = (
    network(np.repeat(a[..., :1], 3, -1)) for a in arrays.values()
  )
  assert found["FD-efflite0"]["value"] == pytest.approx(
    distance(x, y), rel=1e-3
  )
  nearest = np.sqrt(np.square(x[:, None] - y[None]).sum(2)).min(1)
  assert found["NN-efflite0"]["value"] == pytest.approx(nearest.mean(), 1e-3)
  assert found["FD-efflite0"]["feature_network"] == network.provenance()
  assert "a covariance is singular" in said


def test_scores_through_the_classifier(home, scores, monkeypatch):
  """Network of the data that images are compared with."""
  monkeypatch.setattr(
    classifier,
    "get_feature_network",
    lambda image_set: pixel_network.make(f"{image_set.name}cls"),
  )
  found, record, _ = scores(
    "digits:test",
    "digits",
    "--network=classifier",
    "--metrics=FD,KID,IS,PR",
  )
  names = ["FD", "KID", "IS", "precision", "recall"]
  assert list(found) == [f"{name}-digitscls" for name in names]
  digits = data.load("digits")
  expected = distance(
    *(
      pixel_network.features(some)
      for some in (digits.test_images, digits.train_images)
    )
  )
  assert found["FD-digitscls"]["value"] == pytest.approx(expected, rel=1e-4)
  assert found["FD-digitscls"]["reference_split"] == "digits, train"
  assert record["against"]["num"] == 1437


# Pixels alone.


def test_scores_over_pixels_load_no_network(home, files, scores, monkeypatch):
  for module in (inception, i3d):
    monkeypatch.setattr(module, "load", None)
  monkeypatch.setattr(classifier, "get_feature_network", None)
  arrays, paths = files
  bright = save(home, "bright", arrays["data"] + np.uint8(51))
  found, record, _ = scores(bright, paths["data"], "--metrics=spectrum,SWD")
  assert list(found) == ["spectrum", "SWD"]
  # The mean grey value is in no ring.
  assert found["spectrum"]["value"] == pytest.approx(0, abs=1e-9)
  assert found["SWD"]["value"] == pytest.approx(51 / 255, rel=0.2)
  for one in found.values():
    assert (one["reference_split"], one["reference_size"]) == ("data.npz", 300)
    assert "feature_network" not in one
  assert record["against"]["num"] == 300
  found, record, _ = scores(
    paths["samples"], paths["data"], "--metrics=SWD,spectrum", "--samples=90"
  )
  sizes = [(s["num_samples"], s["reference_size"]) for s in found.values()]
  assert sizes == [(90, 90), (90, 300)]
  assert record["scored"]["num"] == 90
  half = 20 * np.log10(2)  # But for the half grey levels that are cut off.
  assert found["spectrum"]["value"] == pytest.approx(half, abs=0.2)


# Networks in their places.


def test_the_file_says_where_scores_come_from(doubles, files, scores):
  arrays, paths = files
  found, record, said = scores(paths["samples"], paths["data"])
  expected = distance(
    *(pixel_network.features(arrays[name]) for name in ("samples", "data"))
  )
  assert list(found) == ["FID", "KID", "IS"]
  assert found["FID"]["value"] == pytest.approx(expected, rel=1e-4)
  assert "singular" not in said
  assert set(record) == {
    "metrics",
    "scored",
    "against",
    "samples",
    "seed",
    "wall_seconds",
    "provenance",
  }
  assert record["provenance"]["packages"]["numpy"] == np.__version__
  about = record["scored"]
  assert about["title"] == "samples.npz"
  assert (about["num"], about["shape"]) == (300, list(SHAPE))
  assert len(about["identity_sha256"]) == 64
  assert record["against"]["identity_sha256"] != about["identity_sha256"]


def test_samples_of_sets_and_of_pairs(doubles, files, scores):
  """For pairs the same items of both, else the whole reference."""
  arrays, paths = files
  reference = arrays["data"]
  offsets = (np.arange(300) % 7 + 1).astype(np.uint8)
  moved = reference + offsets[:, None, None, None]
  images = save(doubles, "moved", moved)
  found, record, _ = scores(
    images, paths["data"], "--metrics=PSNR,FID", "--samples=90", "--seed=4"
  )
  low, high = (20 * np.log10(255 / offset) for offset in (7, 1))
  assert low < found["PSNR"]["value"] < high
  sizes = {
    name: (one["num_samples"], one["reference_size"])
    for name, one in found.items()
  }
  assert sizes == {
    "PSNR": (90, 90),
    "PSNR of mean error": (90, 90),
    "FID": (90, 300),
  }
  assert (record["samples"], record["seed"]) == ("90", 4)
  assert record["scored"]["num"] == 90
  places = np.sort(np.random.default_rng(4).permutation(300)[:90])
  expected = distance(
    pixel_network.features(moved[places]), pixel_network.features(reference)
  )
  assert found["FID"]["value"] == pytest.approx(expected, rel=1e-4)


def test_metrics_that_are_named_twice_are_scored_once(doubles, files, scores):
  _, paths = files
  found, _, _ = scores(
    paths["samples"], paths["data"], "--metrics=IS, FID,IS,SSIM,SWD,FID"
  )
  assert list(found) == ["SWD", "SSIM", "IS", "FID"]


def test_videos(doubles, home, scores):
  x, y = (pixel_network.images(20, seed, (9, *SHAPE)) for seed in (1, 2))
  found, record, _ = scores(
    save(home, "x", x), save(home, "y", y), "--metrics=FVD,SSIM-position"
  )
  expected = distance(pixel_network.features(x), pixel_network.features(y))
  assert found["FVD-i3d-01234567"]["value"] == pytest.approx(expected, rel=1e-4)
  assert found["SSIM spread"]["num_samples"] == 20
  assert record["scored"]["shape"] == [9, *SHAPE]


# Mistakes.


def test_wrong_arguments(home, files, sentence, monkeypatch):
  monkeypatch.chdir(pathlib.Path(__file__).parents[2])
  _, paths = files
  both = [f"--images={paths['samples']}", f"--against={paths['data']}"]
  for argv, said in [
    ([], "Say what to score and what to compare it with"),
    (["--images=a.npz"], "Say what to score"),
    (["--against=digits"], "Say what to score"),
    (["--samples=0"], "positive number; got '0'"),
    (["--samples=-3"], "positive number; got '-3'"),
    (["--samples=abc"], "must be 10k, 50k, all or a positive number"),
    (["--samples="], "got ''"),
    (["--samples=" + 5000 * "9"], "positive number; got '999"),
    (["--seed=-1"], "--seed must be 0 or more; got -1"),
    (["--seed=x"], "--seed must be an integer"),
    (["--dim=big"], "--dim must be an integer"),
    (["--metrics=SWDD"], "named 'SWDD'; did you mean 'SWD'?"),
    (["--metrics=FIDD"], "named 'FIDD'; did you mean 'FID'?"),
    (["--metrics="], "named ''"),
    (["--metrics=FD"], "named 'FD'; did you mean"),
    (["--metrics=FID", "--network=classifier"], "did you mean 'FD'?"),
    (["--metrics=FID", "--dim=64"], "did you mean 'FD'?"),
    (["--network=resnet"], "classifier, efflite0, inception"),
    (["--config=x.py"], "takes no config"),
    (["--config=configs/hvae.py:preset=tiny"], "takes no config"),
    (["--config.train.steps=3"], "takes no config"),
    (["--imagse=x"], "did you mean '--images'?"),
    (["samples.npz"], "is not a flag"),
    (["--out={home}"], "cannot be written (it is a folder)"),
    (["--out={home}/samples.npz/scores.json"], "cannot be written ("),
  ]:
    if argv and not argv[0].startswith(("--images", "--against")):
      argv = [*both, *argv]
    assert said in sentence(*(one.format(home=home) for one in argv))


def test_what_is_not_there(files, sentence):
  _, paths = files
  both = [f"--images={paths['samples']}", f"--against={paths['data']}"]
  for argv, said in [
    (["--dim=100"], "no features of dimension 100; choose one of 64, 192"),
    (["--resize=foo"], "clean, pytorch_fid, tf1, torchmetrics"),
    ([], "weights of Inception-v3 (2015-12-05) are not on this machine"),
    (["--weights=nowhere.pth"], "nowhere.pth cannot be read"),
    (["--metrics=SWD,FID"], "weights of Inception-v3 (2015-12-05) are not"),
    (["--metrics=FVD"], "weights of I3D (Kinetics-400) are not on this"),
    (["--metrics=LPIPS-vgg"], "weights of VGG-16 (ImageNet) are not on"),
    (["--network=classifier"], "data set with labels; name one with --against"),
    (["--images=nothing"], "'nothing' is no folder, npz or npy file"),
    (["--against=digits:valid"], "'digits:valid'"),
    (["--samples=301"], "300 images and 301 were to be scored"),
    (["--samples=301", "--metrics=PSNR"], "300 images and 301 were"),
    (["--samples=301", "--metrics=SWD"], "300 images and 301 were"),
  ]:
    assert said in sentence(*both, *argv)


def test_missing_weights_are_said_before_pairs_are_scored(
  files, sentence, monkeypatch
):
  """The other order would throw hours of work away."""
  monkeypatch.setattr(lpips, "load", None)
  _, paths = files
  said = sentence(
    f"--images={paths['samples']}",
    f"--against={paths['data']}",
    "--metrics=LPIPS-vgg,FID",
  )
  assert "are not on this machine" in said


def _videos(num, frames):
  return pixel_network.images(num, shape=(frames, *SHAPE))


def test_sets_that_cannot_be_scored(doubles, files, sentence):
  for scored, reference, argv, said in [
    (np.zeros((4, *SHAPE)), None, [], "holds float64 numbers"),
    (np.full((4, *SHAPE), np.nan, np.float32), None, [], "holds float32"),
    (np.zeros((4, 9, 9, 3), np.uint8), None, [], "resize them yourself"),
    (None, np.zeros((4, 9, 9, 3), np.uint8), [], "resize them yourself"),
    (
      np.zeros((1, *SHAPE), np.uint8),
      None,
      [],
      "has too few images, 1; scores of sets",
    ),
    (
      None,
      np.zeros((1, *SHAPE), np.uint8),
      [],
      "has too few images, 1; scores of sets",
    ),
    (None, None, ["--samples=1"], "has too few images, 1; scores of sets"),
    (None, None, ["--samples=3", "--metrics=PR"], "PR needs 4 images"),
    (
      None,
      None,
      ["--samples=9", "--metrics=FID-inf"],
      "needs 150 images",
    ),
    (None, np.zeros((4, *SHAPE), np.uint8), ["--metrics=IPD"], "300 items"),
    (
      None,
      np.zeros((4, *SHAPE), np.uint8),
      ["--metrics=IPD", "--samples=4"],
      "has 300 items",
    ),
    (None, None, ["--metrics=FVD"], "takes videos of shape (at least 9, H"),
    (_videos(4, 9), _videos(4, 9), [], "takes images of shape (H, W, 1 or 3)"),
    (
      _videos(4, 8),
      _videos(4, 8),
      ["--metrics=FVD"],
      "(at least 9, H, W, 1 or 3); got (8, 16, 12, 3)",
    ),
    (None, None, ["--samples=1", "--metrics=SWD"], "has too few images, 1;"),
    (
      np.zeros((4, 9, 9, 3), np.uint8),
      None,
      ["--metrics=spectrum"],
      "resize them yourself",
    ),
    (
      _videos(4, 9),
      _videos(4, 9),
      ["--metrics=spectrum"],
      "takes images (H, W, C); got items of shape (9, 16, 12, 3)",
    ),
    (None, None, ["--metrics=SSIM-position"], "undefined for 1 frames"),
    (_videos(4, 9), _videos(4, 9), ["--metrics=PSNR"], "are equal, so that"),
  ]:
    paths = dict(files[1])
    if scored is not None:
      paths["samples"] = save(doubles, "a", scored)
    if reference is not None:
      paths["data"] = save(doubles, "b", reference)
    assert said in sentence(
      f"--images={paths['samples']}", f"--against={paths['data']}", *argv
    )


@pytest.mark.parametrize("metrics", ["FID", "SSIM", "spectrum"])
def test_a_broken_image_is_named(doubles, files, sentence, metrics):
  """Its header is intact, so that it is found when half the work is done."""
  arrays, paths = files
  folder = pathlib.Path(save_folder(doubles / "faces", arrays["samples"]))
  broken = folder / "280.png"
  content = broken.read_bytes()
  broken.write_bytes(content[: len(content) // 2])
  said = sentence(
    f"--images={folder}", f"--against={paths['data']}", f"--metrics={metrics}"
  )
  assert str(broken) in said and "cannot be read as an image" in said


def test_help(capsys):
  assert command.main(["--help"]) == 0
  said = capsys.readouterr().out
  for name in ("--images", "SSIM-position", "FID-inf", "spectrum", "SWD"):
    assert name in said


@pytest.mark.parametrize("network", ["classifier", "efflite0"])
def test_flags_that_other_networks_do_not_read(capsys, network):
  argv = ["--images=digits:test", "--against=digits", f"--network={network}"]
  for flag in ("--resize=clean", "--dim=64", "--weights=a"):
    assert command.main([*argv, flag]) == 2
    name = flag.partition("=")[0]
    assert f"{name} is for Inception" in capsys.readouterr().err
