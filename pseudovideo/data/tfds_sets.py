"""TensorFlow Datasets in ArrayRecord form, read without TensorFlow.

TFDS stores the encoded images (PNG or JPEG); Pillow decodes them here, so that
the pixels do not depend on whether OpenCV is installed. Records are shuffled
on disk: where they have an `id` they are sorted by it, else the order on disk
is kept.
"""

import io
import json
import os
import pathlib
import shlex
from typing import Any

import numpy as np

from pseudovideo import errors
from pseudovideo.data import cache, copies, decoding, named, stamping
from pseudovideo.data.image_set import ImageSet
from pseudovideo.files import untrusted

SPLITS = ("train", "test")
INFO_LIMIT = 2**24  # bytes of a JSON file; the sets' files have some 1,000
FEATURES = "tensorflow_datasets.core.features."
CLASS_KEYS = ("type", "pythonClassName", "python_class_name")
OPTIONAL = ("fileFormat", "moduleName", "description")


NAMES = ("mnist", "cifar10", "celeb_a")


def load(name: str, data_dir: str | None = None) -> ImageSet:
  """Loads the training and the test split of a prepared set.

  Args:
    name: one of NAMES.
    data_dir: folder of TFDS, see `find_data_dir`.

  Raises:
    UserError: the set is not there, incomplete, damaged, or not in ArrayRecord
      form.
  """
  facts = named.FACTS[name]
  folder = _find(name, find_data_dir(data_dir))
  info = _read_info(folder)
  files = [
    file for split in SPLITS for file in _record_files(folder, info, split)
  ]
  made_from = {
    "spec": {
      "title": facts.title,
      "channels": facts.image_shape[-1],
      "num_classes": facts.classes,
      "side": _side(facts),
    },
    "info": info,
    "files": stamping.stamps(folder, files),
  }
  arrays, fingerprint = cache.load(
    name,
    made_from,
    lambda new_array: _build(name, folder, new_array),
    about=copies.about(folder, made_from),
  )
  return ImageSet(
    name=name,
    train_images=arrays["train_images"],
    train_labels=arrays.get("train_labels"),
    test_images=arrays["test_images"],
    test_labels=arrays.get("test_labels"),
    num_classes=facts.classes,
    source=_source(facts, info),
    fingerprint=fingerprint,
  )


def _side(facts: named.Facts) -> int | None:
  """The side that `decoding.square` gives images; None keeps their size."""
  return facts.image_shape[0] if facts.scaled else None


def find_data_dir(data_dir: str | None) -> pathlib.Path:
  """`data_dir`, else $PSEUDOVIDEO_DATA_DIR, else the default of TFDS."""
  found = (
    data_dir
    or os.environ.get("PSEUDOVIDEO_DATA_DIR")
    or os.environ.get("TFDS_DATA_DIR")
    or "~/tensorflow_datasets"
  )
  # Unlike pathlib's, this leaves the home of an unknown user as it is.
  return pathlib.Path(os.path.expanduser(found))


def prepare_command(name: str, data_dir: pathlib.Path) -> str:
  """The command that downloads a set and writes it below `data_dir`."""
  folder = shlex.quote(str(data_dir))
  return f"python -m pseudovideo.data.prepare {name} --data_dir={folder}"


def _find(name: str, data_dir: pathlib.Path) -> pathlib.Path:
  """The folder of the newest version of a set."""
  found = [path.parent for path in data_dir.glob(f"{name}/*/dataset_info.json")]
  versions = {
    tuple(int(part) for part in folder.name.split(".")): folder
    for folder in found
    if folder.name.replace(".", "").isdecimal()
  }
  if not versions:
    raise errors.UserError(
      f"The data set {name!r} is not in {data_dir}; to download it and write "
      f"it there, run: {prepare_command(name, data_dir)}"
    )
  return versions[max(versions)]


def _read_info(folder: pathlib.Path) -> dict[str, Any]:
  """Reads dataset_info.json and checks the types of the entries in use."""
  info = _read_json(folder, "dataset_info.json")
  texts = {"name": None, "version": None, **dict.fromkeys(OPTIONAL, "")}
  good = all(type(info.get(k, texts[k])) is str for k in texts)
  splits = info.get("splits", [])
  good = good and type(splits) is list and all(map(_is_split, splits))
  if not good or info["name"] != folder.parent.name:
    raise _damaged(folder, "dataset_info.json describes something else")
  return info


def _is_split(split: Any) -> bool:
  return (
    type(split) is dict
    and type(split.get("name")) is str
    and type(split.get("shardLengths", [])) is list
  )


def _read_json(folder: pathlib.Path, name: str) -> dict[str, Any]:
  try:
    with untrusted.opened(folder / name) as file:
      content = file.read(INFO_LIMIT + 1)
    if len(content) > INFO_LIMIT:
      raise ValueError(f"it has more than {INFO_LIMIT:,} bytes")
    found = json.loads(content)
  except (OSError, ValueError, RecursionError) as error:
    raise _damaged(
      folder, f"{name} is no JSON, {untrusted.reason(error)}"
    ) from error
  if type(found) is not dict:
    raise _damaged(folder, f"{name} holds no mapping")
  return found


def _check_features(folder: pathlib.Path) -> None:
  """Refuses features that are not TFDS's own.

  features.json names Python classes, and TFDS imports whatever module they are
  said to be in.
  """
  if not (folder / "features.json").exists():
    return  # TFDS then knows the set itself, or refuses it.
  left = [_read_json(folder, "features.json")]
  while left:
    node = left.pop()
    if isinstance(node, dict):
      for key in CLASS_KEYS:
        name = node.get(key, FEATURES)
        if not isinstance(name, str | dict | list) or (
          isinstance(name, str) and not name.startswith(FEATURES)
        ):
          raise _damaged(
            folder,
            f"features.json names {str(name)[:80]!r}, which is no feature of "
            "TFDS; nothing was imported",
          )
    if isinstance(node, dict | list):
      left += node.values() if isinstance(node, dict) else node


def _damaged(folder: pathlib.Path, what: str) -> errors.UserError:
  command = prepare_command(folder.parent.name, folder.parent.parent)
  return errors.UserError(
    f"The data set in {folder} is damaged ({what}); delete that folder and "
    f"run: {command}"
  )


def _record_files(
  folder: pathlib.Path, info: dict[str, Any], split: str
) -> list[pathlib.Path]:
  """The record files of a split, all of which exist."""
  name = info["name"]
  if info.get("fileFormat", "tfrecord") != "array_record":
    raise errors.UserError(
      f"The data set in {folder} is in the "
      f"{info.get('fileFormat', 'tfrecord')} format, which needs TensorFlow; "
      "write it in ArrayRecord form into another folder DIR with: "
      f"{prepare_command(name, pathlib.Path('DIR'))}"
    )
  shards = {s["name"]: len(s.get("shardLengths", [])) for s in info["splits"]}
  total = shards.get(split, 0)
  files = [
    folder / f"{name}-{split}.array_record-{i:05d}-of-{total:05d}"
    for i in range(total)
  ]
  if not files:
    raise _damaged(folder, f"it has no split {split!r}")
  for file in files:
    if not file.exists():
      raise _damaged(folder, f"{file.name} is missing")
  return files


def _source(facts: named.Facts, info: dict[str, Any]) -> str:
  """The origin in a sentence; an unofficial copy is quoted as it says."""
  source = f"{facts.title} through TFDS {info['version']}"
  official = info.get("moduleName", "").startswith("tensorflow_datasets.")
  if official or not info.get("moduleName"):
    return source + "."
  return f"{source}: {' '.join(info.get('description', '').split())}"


def _build(name: str, folder: pathlib.Path, new_array: cache.NewArray) -> None:
  try:
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise errors.UserError(
      f"To read {name!r}, tensorflow-datasets must be installed ({error}); "
      "run: pip install tensorflow-datasets array_record importlib_resources"
    ) from error
  _check_features(folder)
  info = _read_info(folder)
  try:
    for split in SPLITS:
      records = tfds.data_source(
        f"{name}:{folder.name}",
        split=split,
        data_dir=folder.parent.parent,
        download=False,
        decoders={"image": tfds.decode.SkipDecoding()},
      )
      _check_number(folder, _record_files(folder, info, split), len(records))
      facts, where = named.FACTS[name], f"{folder} ({split})"
      _decode(facts, where, split, records, new_array)
  except (errors.UserError, OSError):
    raise
  except Exception as error:  # From TFDS, protobuf or array_record.
    raise _damaged(folder, untrusted.reason(error)) from error


def _check_number(
  folder: pathlib.Path, files: list[pathlib.Path], num: int
) -> None:
  """Refuses a split whose files hold another number of records than is said.

  Of fewer TFDS would say nothing.
  """
  from array_record.python import array_record_module

  held = 0
  for file in files:
    reader = array_record_module.ArrayRecordReader(str(file))
    held += reader.num_records()
    reader.close()
  if held != num:
    what = f"dataset_info.json says {num} records, and there are {held}"
    raise _damaged(folder, what)


def _decode(
  facts: named.Facts,
  where: str,
  split: str,
  records: Any,
  new_array: cache.NewArray,
) -> None:
  """Writes the images, and the labels if any, of one split.

  `records` is a source of TFDS, which has `__getitems__` too.
  """

  side = _side(facts)

  def image_of(record: dict[str, Any], index: int) -> np.ndarray:
    place = f"Record {index} of {where}"
    with decoding.opened(io.BytesIO(record["image"]), place) as image:
      if side is not None and min(image.size) < side:
        raise errors.UserError(
          f"{place} is {image.width}x{image.height}, and the shorter side must "
          f"have {side} pixels or more; prepare the set again."
        )
      return decoding.to_array(image, facts.image_shape[-1], side)

  total = len(records)
  if not total:
    raise errors.UserError(f"{where} has no records; prepare the set again.")
  shape = image_of(records[0], 0).shape
  images = new_array(f"{split}_images", (total, *shape))
  labels = np.zeros(total, np.int32)
  ids = np.zeros(total, object)

  def work(start: int, stop: int) -> None:
    block = records.__getitems__(range(start, stop))
    for i, record in enumerate(block, start):
      image = image_of(record, i)
      if image.shape != shape:
        raise errors.UserError(
          f"Record {i} of {where} has shape {image.shape}, the first one has "
          f"{shape}; a set must have one size."
        )
      images[i] = image
      ids[i] = record.get("id", b"")
      if facts.classes is None:
        continue
      labels[i] = label = record["label"]
      if label not in range(facts.classes):
        raise errors.UserError(
          f"Record {i} of {where} has the label {label}, and there are "
          f"{facts.classes}; prepare the set again."
        )

  decoding.in_blocks(work, total, f"decoding {split}")
  # A stable sort: without ids all keys are equal, and nothing moves.
  order = np.argsort(ids, kind="stable")
  if ids.any():
    images[:] = images[order]
  if facts.classes is not None:
    new_array(f"{split}_labels", (total,), np.int32)[:] = labels[order]
