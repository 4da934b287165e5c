import tracemalloc
import zipfile

import numpy as np
import PIL.Image
import pytest

from pseudovideo import errors
from pseudovideo.metrics import sources
from tests.data import small_videos


@pytest.fixture
def images():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (600, 5, 4, 3), dtype=np.uint8)


def everything(source) -> np.ndarray:
  return np.concatenate(list(source.blocks()))


def save(path, **arrays):
  np.savez_compressed(path, **arrays)
  return str(path)


@pytest.mark.parametrize(
  ("compress", "name"), [(np.savez, "arr_0"), (np.savez_compressed, "mine")]
)
def test_an_npz_file_holds_its_images_in_order(
  images, tmp_path, compress, name
):
  path = tmp_path / "a.npz"
  compress(path, **{name: images})
  source = sources.parse(str(path))
  assert (source.num, source.shape, source.title) == (600, (5, 4, 3), "a.npz")
  assert max(len(block) for block in source.blocks()) == sources.BLOCK
  np.testing.assert_array_equal(everything(source), images)
  np.testing.assert_array_equal(everything(source), images)  # A second time.


def test_a_file_of_samples_is_read_by_its_images(images, tmp_path):
  videos = np.zeros((2, 3, 5, 4, 3), np.uint8)
  path = save(tmp_path / "a.npz", videos=videos, images=images, seed=3)
  assert sources.parse(path).shape == (5, 4, 3)
  path = save(tmp_path / "b.npz", videos=videos, seed=3)
  np.testing.assert_array_equal(everything(sources.parse(path)), videos)


def test_an_npy_file_is_memory_mapped(images, tmp_path):
  np.save(tmp_path / "a.npy", images)
  source = sources.parse(str(tmp_path / "a.npy"))
  np.testing.assert_array_equal(everything(source), images)


def test_a_folder_holds_its_images_by_relative_path(images, tmp_path):
  names = ["b.png", "a/2.png", "a/10.png", "c.png"]
  (tmp_path / "a").mkdir()
  for name, image in zip(names, images, strict=False):
    PIL.Image.fromarray(image).save(tmp_path / name)
  (tmp_path / "notes.txt").write_text("no image")
  for text in (str(tmp_path), f"{tmp_path}/"):
    found = everything(sources.parse(text))
    np.testing.assert_array_equal(found, images[[2, 1, 0, 3]])
  small = sources.parse(f"{tmp_path}?size=2")
  assert (small.num, small.shape) == (4, (2, 2, 3))


def test_a_data_set_is_named_with_its_split():
  train, test = sources.parse("digits"), sources.parse("digits:test")
  assert (train.num, test.num) == (1437, 360)
  assert train.title == "digits, train"
  assert train.identity != test.identity


def test_a_folder_of_videos_has_clips(tmp_path, monkeypatch):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  root = tmp_path / "films"
  frames = small_videos.plain(6)
  for name in ("train/a", "test/b"):
    small_videos.write_folder(root / name, frames)
  text = f"videos:{root}?size=16&frames=3"
  for source in (sources.parse(text), sources.parse(f"{text}:test")):
    assert (source.num, source.shape) == (2, (3, 16, 16, 3))
    numbers = small_videos.numbers(everything(source))
    assert numbers == [[0, 1, 2], [3, 4, 5]]
  assert source.title == "films?size=16&frames=3, test"


def test_a_folder_as_a_data_set_has_splits(images, tmp_path, monkeypatch):
  """Its title, which is published, does not say where it is."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  faces = tmp_path / "faces"
  faces.mkdir()
  for number, image in enumerate(images[:20]):
    PIL.Image.fromarray(image).save(faces / f"{number}.png")
  train = sources.parse(f"folder:{faces}")
  test = sources.parse(f"folder:{faces}:test")
  assert (train.num, test.num) == (18, 2)
  assert (train.title, test.title) == ("faces, train", "faces, test")
  monkeypatch.chdir(faces)
  assert sources.parse(".").title == "faces"


def test_the_identity_changes_with_the_images(images, tmp_path):
  first = sources.parse(save(tmp_path / "a.npz", images=images)).identity
  images[7, 0, 0, 0] ^= 1
  assert (
    sources.parse(save(tmp_path / "a.npz", images=images)).identity != first
  )


def test_chosen_images_are_a_sample_in_order(images):
  source = sources.of_array(images, "here", "id")
  some = source.chosen(100, 3)
  found = everything(some)
  assert len(found) == some.num == 100
  flat = images.reshape(600, -1)
  places = [np.flatnonzero((flat == row).all(1))[0] for row in
            found.reshape(100, -1)]  # fmt: skip
  assert places == sorted(set(places))
  assert max(places) > 500
  assert (everything(source.chosen(100, 3)) == found).all()
  assert (everything(source.chosen(100, 4)) != found).any()
  assert some.identity != source.chosen(100, 4).identity
  assert source.chosen(600, 3) is source
  with pytest.raises(errors.UserError, match=r"600 images and 601"):
    source.chosen(601, 0)


def test_blocks_of_chosen_images_are_full(images):
  """Few of many would otherwise be mostly padding, or empty blocks."""
  source = sources.of_array(np.tile(images, (3, 1, 1, 1)), "here", "id")
  lengths = [len(block) for block in source.chosen(600, 0).blocks()]
  assert lengths == [256, 256, 88]
  assert [len(block) for block in source.chosen(2, 0).blocks()] == [2]


def test_blocks_of_large_videos_hold_less(images):
  shape = (100, 512, 512, 3)
  video = np.broadcast_to(images[0, 0, 0], (7, *shape))
  lengths = [len(b) for b in sources.of_array(video, "here").blocks()]
  assert lengths == [3, 3, 1]
  assert lengths[0] * 100 * 512 * 512 * 3 <= sources.BLOCK_BYTES
  assert sources.block_length((10, *shape)) == 1


def test_memory_does_not_grow_with_the_file(tmp_path):
  images = np.zeros((5000, 32, 32, 3), np.uint8)
  source = sources.parse(save(tmp_path / "a.npz", images=images))
  del images
  tracemalloc.start()
  for _ in source.blocks():
    pass
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 4 * sources.BLOCK * 32 * 32 * 3


def test_other_arrays_are_refused(tmp_path):
  for array, message in [
    (np.zeros((3, 4, 4, 3), np.float32), "holds float32 numbers"),
    (np.full((3, 4, 4, 3), np.nan), "holds float64 numbers"),
    (np.zeros((3, 4, 4, 3), np.int64), "holds int64 numbers"),
    (np.zeros((3, 3, 4, 4), np.uint8), r"\(3, 3, 4, 4\).*1 or 3 channels"),
    (np.zeros((4, 4, 3), np.uint8), r"\(N, H, W, C\)"),
    (np.zeros((0, 4, 4, 3), np.uint8), "must be at least 1"),
    (np.array([{}]), "cannot be read as an npz"),
  ]:
    with pytest.raises(errors.UserError, match=message):
      sources.parse(save(tmp_path / "a.npz", images=array))


def test_a_huge_image_is_refused_before_it_is_read(tmp_path):
  path = tmp_path / "a.npz"
  header = (
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 9999, 9999, 3)}"
  )
  text = header.encode().ljust(117) + b"\n"
  start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
  with (
    zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    archive.open("images.npy", "w") as file,
  ):
    file.write(start + text)
    for _ in range(3 * 9999):
      file.write(bytes(9999))
  with pytest.raises(errors.UserError, match="at most 64 MiB"):
    sources.parse(str(path))


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_file_is_a_sentence(images, tmp_path, damage):
  path = tmp_path / "a.npz"
  np.savez(path, images=images)
  whole = path.read_bytes()
  for place in (0.02, 0.3, 0.6, 0.97):
    content = bytearray(whole)
    where = int(place * len(content))
    if damage == "cut":
      content = content[:where]
    else:
      content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=r"cannot be read|holds"):
      everything(sources.parse(str(path)))


def test_what_is_not_there_is_a_sentence(tmp_path):
  for text in ("nothing", str(tmp_path / "no.npz"), "digits:valid", ""):
    with pytest.raises(errors.UserError, match=r"no folder|cannot be read"):
      sources.parse(text)
  with pytest.raises(errors.UserError, match="no images in"):
    sources.parse(str(tmp_path))
  PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
  PIL.Image.new("RGB", (5, 4)).save(tmp_path / "b.png")
  with pytest.raises(errors.UserError, match="must have one size"):
    sources.parse(str(tmp_path))
