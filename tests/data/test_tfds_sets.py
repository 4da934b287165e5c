"""TFDS sets in ArrayRecord form, written and read without TensorFlow."""

import dataclasses
import io
import json
import os
import pathlib
import re
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from pseudovideo import data, errors
from pseudovideo.data import decoding, named, tfds_sets

SLOW = pytest.mark.slow("decodes 60,000 images")

REAL_DIR = os.environ.get("PSEUDOVIDEO_DATA_DIR")
RNG = np.random.default_rng(0)
SHAPES = {
  "mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (218, 178, 3),
}
VERSIONS = {"mnist": "3.0.1", "cifar10": "3.0.2", "celeb_a": "2.1.0"}
SIZES = {"train": 23, "test": 7}


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
  monkeypatch.delenv("PSEUDOVIDEO_DATA_DIR", raising=False)
  monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


def png(image: np.ndarray) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image.squeeze()).save(buffer, "PNG")
  return buffer.getvalue()


def make_examples(name: str) -> dict[str, list[dict]]:
  """Random images by split; the label is also in the first pixel."""
  examples = {}
  for split, size in SIZES.items():
    images = RNG.integers(0, 256, (size, *SHAPES[name]), np.uint8)
    images[:, 0, 0, 0] = np.arange(size)
    examples[split] = [
      {"image": image, "label": i % 10, "id": f"{split}_{i:05d}"}
      for i, image in enumerate(images)
    ]
  return examples


def write(name: str, data_dir: pathlib.Path, examples: dict) -> pathlib.Path:
  """Writes a set as `tfds` does, with the features of the official one."""
  features = {
    "mnist": {"label": tfds.features.ClassLabel(num_classes=10)},
    "cifar10": {
      "id": tfds.features.Text(),
      "label": tfds.features.ClassLabel(num_classes=10),
    },
    "celeb_a": {
      "attributes": {"Smiling": np.bool_},
      "identity": {"Identity_No": np.int64},
    },
  }[name]
  extra = {"attributes": {"Smiling": True}, "identity": {"Identity_No": 3}}

  with tfds.core.registered.skip_registration():

    class Builder(tfds.core.GeneratorBasedBuilder):
      VERSION = tfds.core.Version(VERSIONS[name])

      def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
          builder=self,
          description="A tiny set.\nFor   tests.",
          features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=SHAPES[name]), **features}
          ),
        )

      def _split_generators(self, dl_manager) -> dict:
        return {split: self._generate_examples(split) for split in SIZES}

      def _generate_examples(self, split: str):
        for i, example in enumerate(examples[split]):
          values = {**example, **extra, "image": png(example["image"])}
          yield i, {key: values[key] for key in ["image", *features]}

  Builder.name = name
  builder = Builder(data_dir=data_dir, file_format="array_record")
  builder.download_and_prepare()
  return pathlib.Path(builder.data_dir)


@pytest.fixture(scope="module")
def examples() -> dict[str, dict]:
  return {name: make_examples(name) for name in SHAPES}


@pytest.fixture(scope="module")
def prepared(examples: dict, tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp("tfds")
  for name in SHAPES:
    write(name, folder, examples[name])
  return folder


@pytest.fixture
def mnist(prepared: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A copy of one set, to be damaged; returns the folder of its version."""
  source = prepared / "mnist" / "3.0.1"
  target = tmp_path / "mnist" / "3.0.1"
  target.mkdir(parents=True)
  for path in source.iterdir():
    (target / path.name).write_bytes(path.read_bytes())
  return target


def test_no_tensorflow(prepared: pathlib.Path):
  data.load("mnist", data_dir=str(prepared))
  assert "tensorflow" not in sys.modules


def test_cifar10_is_sorted_by_id(prepared: pathlib.Path, examples: dict):
  images = data.load("cifar10", data_dir=str(prepared))
  for split in SIZES:
    expected = examples["cifar10"][split]
    np.testing.assert_array_equal(
      getattr(images, f"{split}_images"), [e["image"] for e in expected]
    )
    np.testing.assert_array_equal(
      getattr(images, f"{split}_labels"), [e["label"] for e in expected]
    )
  assert images.train_labels.dtype == np.int32
  assert images.num_classes == 10
  assert images.image_shape == (32, 32, 3)


def test_records_on_disk_are_shuffled(prepared: pathlib.Path):
  """Without this the test above would prove nothing."""
  records = tfds.data_source(
    "cifar10", data_dir=prepared, download=False, split="train"
  )
  ids = [record["id"] for record in records]
  assert ids != sorted(ids)


def test_mnist_has_every_digit_with_its_label(
  prepared: pathlib.Path, examples: dict
):
  images = data.load("mnist", data_dir=str(prepared))
  assert images.image_shape == (28, 28, 1)
  for split, size in SIZES.items():
    pixels = getattr(images, f"{split}_images")
    order = pixels[:, 0, 0, 0]  # No ids: the order on disk is kept.
    assert sorted(order) == list(range(size))
    expected = [examples["mnist"][split][i] for i in order]
    np.testing.assert_array_equal(pixels, [e["image"] for e in expected])
    np.testing.assert_array_equal(
      getattr(images, f"{split}_labels"), [e["label"] for e in expected]
    )


def test_celeb_a_is_cropped_and_has_no_labels(
  prepared: pathlib.Path, examples: dict
):
  images = data.load("celeb_a", data_dir=str(prepared))
  assert images.image_shape == (64, 64, 3)
  assert images.train_labels is None and images.num_classes is None

  def in_some_order(pictures: np.ndarray) -> list[bytes]:
    return sorted(picture.tobytes() for picture in pictures)

  for split in SIZES:
    expected = [
      np.asarray(decoding.square(Image.fromarray(e["image"]), 64))
      for e in examples["celeb_a"][split]
    ]
    assert in_some_order(getattr(images, f"{split}_images")) == in_some_order(
      expected
    )


def test_pixels_equal_those_that_tfds_decodes(prepared: pathlib.Path):
  ours = data.load("mnist", data_dir=str(prepared))
  records = tfds.data_source(
    "mnist", data_dir=prepared, download=False, split="test"
  )
  np.testing.assert_array_equal(
    ours.test_images, [record["image"] for record in records]
  )


def test_second_load_needs_no_tfds(prepared: pathlib.Path, monkeypatch):
  first = data.load("mnist", data_dir=str(prepared))
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  second = data.load("mnist", data_dir=str(prepared))
  assert first.fingerprint == second.fingerprint
  np.testing.assert_array_equal(first.train_images, second.train_images)


def test_without_tfds(prepared: pathlib.Path, monkeypatch):
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  with pytest.raises(errors.UserError, match="pip install tensorflow-datasets"):
    data.load("mnist", data_dir=str(prepared))


def test_where_sets_are_looked_for(tmp_path: pathlib.Path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  find = tfds_sets.find_data_dir
  assert find(None) == tmp_path / "tensorflow_datasets"
  monkeypatch.setenv("TFDS_DATA_DIR", "/a")
  assert find(None) == pathlib.Path("/a")
  monkeypatch.setenv("PSEUDOVIDEO_DATA_DIR", "~/b")
  assert find(None) == tmp_path / "b"
  assert find("/c") == pathlib.Path("/c")


def test_environment_points_to_the_sets(prepared: pathlib.Path, monkeypatch):
  monkeypatch.setenv("PSEUDOVIDEO_DATA_DIR", str(prepared))
  assert len(data.load("cifar10").train_images) == SIZES["train"]


def test_missing_set_gives_the_command(tmp_path: pathlib.Path):
  folder = tmp_path / "my data"
  with pytest.raises(errors.UserError) as info:
    data.load("cifar10", data_dir=str(folder))
  assert str(info.value).endswith(
    f"python -m pseudovideo.data.prepare cifar10 --data_dir='{folder}'"
  )
  (folder / "cifar10" / "3.0.2").mkdir(parents=True)
  with pytest.raises(errors.UserError, match="is not in"):
    data.load("cifar10", data_dir=str(folder))


def test_newest_version_wins(mnist: pathlib.Path):
  mnist.rename(mnist.parent / "3.0.10")
  for other in ("3.0.9", "incomplete.X_3.0.11"):
    (mnist.parent / other).mkdir()
    (mnist.parent / other / "dataset_info.json").write_text("{}")
  images = data.load("mnist", data_dir=str(mnist.parent.parent))
  assert len(images.train_images) == SIZES["train"]


def edit(path: pathlib.Path, **changes) -> None:
  info = json.loads((path / "dataset_info.json").read_text())
  (path / "dataset_info.json").write_text(json.dumps({**info, **changes}))


def expect(mnist: pathlib.Path, match: str) -> None:
  with pytest.raises(errors.UserError, match=re.escape(match)):
    data.load("mnist", data_dir=str(mnist.parent.parent))


def test_other_record_format(mnist: pathlib.Path):
  edit(mnist, fileFormat="tfrecord")
  expect(mnist, "is in the tfrecord format, which needs TensorFlow")


def test_missing_record_file(mnist: pathlib.Path):
  (file,) = mnist.glob("mnist-train.*")
  file.unlink()
  expect(mnist, f"is damaged ({file.name} is missing)")


def test_missing_split(mnist: pathlib.Path):
  edit(mnist, splits=[])
  expect(mnist, "is damaged (it has no split 'train')")


def test_damaged_records(mnist: pathlib.Path):
  data.load("mnist", data_dir=str(mnist.parent.parent))
  (file,) = mnist.glob("mnist-test.*")
  content = bytearray(file.read_bytes())
  content[200] ^= 1
  file.write_bytes(content)
  expect(mnist, "is damaged (Corrupted")


def test_fewer_images_than_the_files_hold_are_refused(mnist: pathlib.Path):
  info = json.loads((mnist / "dataset_info.json").read_text())
  (split,) = (s for s in info["splits"] if s["name"] == "train")
  split["shardLengths"] = ["1"]
  edit(mnist, splits=info["splits"])
  expect(mnist, "is damaged (dataset_info.json")


def test_source_says_what_was_read(mnist: pathlib.Path):
  def source() -> str:
    return data.load("mnist", data_dir=str(mnist.parent.parent)).source

  assert source() == "MNIST through TFDS 3.0.1: A tiny set. For tests."
  edit(mnist, moduleName="tensorflow_datasets.image_classification.mnist")
  assert source() == "MNIST through TFDS 3.0.1."


@pytest.mark.parametrize(
  "name",
  [
    "mnist",
    pytest.param("cifar10", marks=SLOW),
  ],
)
def test_real_set(name: str):
  """The prepared set of this machine, against what TFDS itself decodes."""
  folder = pathlib.Path(REAL_DIR or "", name)
  if not REAL_DIR or not folder.is_dir():
    pytest.skip(f"$PSEUDOVIDEO_DATA_DIR is not set or has no {name}")
  images = data.load(name, data_dir=REAL_DIR)
  records = tfds.data_source(
    name, data_dir=REAL_DIR, download=False, split="test"
  )
  assert len(images.test_images) == len(records)
  assert set(np.unique(images.train_labels)) == set(range(10))
  expected = sorted(
    ((r.get("id", b""), i) for i, r in enumerate(records)), key=lambda x: x[0]
  )
  for row in range(0, len(records), len(records) // 50):
    record = records[expected[row][1]]
    np.testing.assert_array_equal(images.test_images[row], record["image"])
    assert images.test_labels[row] == record["label"]


# --- files of strangers ---


@pytest.mark.parametrize("key", tfds_sets.CLASS_KEYS)
def test_no_module_is_imported_that_a_file_names(
  mnist: pathlib.Path, tmp_path: pathlib.Path, monkeypatch, key: str
):
  """TFDS would: a module of that name needs only to lie where Python looks."""
  planted, trace = f"planted_{key}", tmp_path / "executed"
  (tmp_path / f"{planted}.py").write_text(f"open({str(trace)!r}, 'w').close()")
  monkeypatch.syspath_prepend(str(tmp_path))
  path = mnist / "features.json"
  features = json.loads(path.read_text())
  if key == "type":  # As older versions wrote it.
    features = {"type": f"{planted}.Label", "content": {}}
  else:
    label = features["featuresDict"]["features"]["label"]
    del label["pythonClassName"]
    label[key] = f"{planted}.Label"
  path.write_text(json.dumps(features))
  expect(mnist, f"features.json names '{planted}.Label', which is no feature")
  assert not trace.exists()
  # It is a true weapon: without the look at the names, it is run.
  monkeypatch.setattr(tfds_sets, "_check_features", lambda folder: None)
  expect(mnist, "is damaged (")
  assert trace.exists()


def test_a_description_that_is_too_long(mnist: pathlib.Path, monkeypatch):
  monkeypatch.setattr(tfds_sets, "INFO_LIMIT", 100)
  expect(mnist, "it has more than 100 bytes")


def test_labels_and_sides_that_do_not_fit(prepared: pathlib.Path, monkeypatch):
  few = dataclasses.replace(named.FACTS["mnist"], classes=3)
  wide = dataclasses.replace(named.FACTS["celeb_a"], image_shape=(200, 200, 3))
  monkeypatch.setitem(named.FACTS, "mnist", few)
  monkeypatch.setitem(named.FACTS, "celeb_a", wide)
  for name, said in (
    ("mnist", r"has the label \d, and there are 3; prepare"),
    ("celeb_a", r"is 178x218, and the shorter side must have 200 pixels"),
  ):
    with pytest.raises(errors.UserError, match=said):
      tfds_sets.load(name, str(prepared))


def test_many_damaged_records_are_sentences(mnist: pathlib.Path):
  """One byte of the file changed, or its end cut off."""
  (file,) = mnist.glob("mnist-test.*")
  content = file.read_bytes()
  places = range(0, len(content), len(content) // 40)
  damaged = [content[:place] for place in places]
  damaged += [
    content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
    for place in places
  ]
  noticed = 0
  for number, changed in enumerate(damaged):
    file.write_bytes(changed)
    try:
      data.load("mnist", data_dir=str(mnist.parent.parent))
    except errors.UserError as error:
      assert str(mnist) in str(error), number
      noticed += 1
  assert noticed > len(damaged) // 2
