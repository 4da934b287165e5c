"""A data set as ids, on disk: what is read is what was encoded, or refused."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import io
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from pseudovideo import errors, keys, runs
from pseudovideo.commands import tokenize
from pseudovideo.config import comparing
from pseudovideo.first_stages import token_files, tokens


@pytest.fixture(scope="module")
def run(tiny_tokenizer_run):
  return runs.restore(tiny_tokenizer_run)


@pytest.fixture(scope="module")
def written(tiny_tokenizer_run, tmp_path_factory):
  """Folder of the tokens of both splits, and what the command said."""
  folder = tmp_path_factory.mktemp("tokens") / "new" / "folder"
  argv = [f"--workdir={tiny_tokenizer_run}", f"--out={folder}"]
  out, err = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    assert tokenize.main(argv) == 0
  return folder, out.getvalue(), err.getvalue()


@pytest.fixture
def copied(written, tmp_path):
  return shutil.copytree(written[0], tmp_path / "copied")


# Ids.


@pytest.mark.parametrize("batch_size", [5, 64])
def test_ids_do_not_depend_on_the_batch(run, batch_size):
  images = run.image_set.test_images[:11]
  seen = []
  ids = tokens.encode(run, images, batch_size=batch_size, progress=seen.append)
  encode = jax.jit(run.task.encode)
  rows = keys.example_keys(jax.random.key(0), 11)
  expected = encode(run.params, run.extra, images, key=rows)
  np.testing.assert_array_equal(ids, expected)
  assert ids.dtype == np.int32 and ids.shape == (11, 4, 4, 4)
  assert seen == sorted(seen) and seen[-1] == 11


def test_usage_is_the_entropy_of_frequencies(monkeypatch):
  monkeypatch.setattr(tokens, "BLOCK", 4)
  ids = np.random.default_rng(0).integers(0, 6, (10, 2, 3, 4)).astype(np.uint8)
  _, counts = np.unique(ids, return_counts=True)
  for codes in (7, 40):
    found = tokens.usage(ids, codes)
    assert found.pop("perplexity") == pytest.approx(
      np.exp(scipy.stats.entropy(counts))
    )
    assert found == {"codes": codes, "codes_used": len(counts), "tokens": 24}


# The folder.


def test_both_splits_come_back(run, written):
  found = token_files.load(written[0])
  for split in ("train", "test"):
    ids, labels = (
      getattr(found, f"{split}_{what}") for what in ("ids", "labels")
    )
    images = getattr(run.image_set, f"{split}_images")
    assert ids.dtype == np.uint8 and ids.shape == (len(images), 4, 4, 4)
    assert isinstance(ids, np.memmap) and not ids.flags.writeable
    np.testing.assert_array_equal(
      labels, getattr(run.image_set, f"{split}_labels")
    )
    chosen = np.linspace(0, len(images) - 1, 16).astype(int)
    expected = jax.jit(run.task.encode)(
      run.params, run.extra, images[chosen], key=jax.random.key(0)
    )
    np.testing.assert_array_equal(ids[chosen], expected)
  assert found.grid_shape == run.task.grid_shape and found.num_codes == 16


def test_the_codebook_decodes_what_was_encoded(run, written):
  found = token_files.load(written[0])
  np.testing.assert_array_equal(
    found.codebook, run.extra["state"]["quantizer"]["codebook"]
  )
  vectors = found.codebook[found.test_ids[:3]]
  network = {"params": run.params["network"]}
  decode = functools.partial(run.task.model.apply, method="decode")
  np.testing.assert_allclose(
    jax.jit(decode)(network, vectors),
    jax.jit(run.task.decode)(
      run.params, run.extra, jnp.int32(found.test_ids[:3])
    ),
    atol=1e-5,
  )


def test_the_folder_says_where_it_comes_from(run, written):
  about = token_files.load(written[0]).about
  versions = about.pop("packages")
  assert versions["jax"] == importlib.metadata.version("jax")
  assert about == {
    "data": {"name": "digits", "fingerprint": run.image_set.fingerprint},
    "seed": 0,
    "tokenizer": {
      "hash": tokens.tokenizer_hash(run),
      "step": 6,
      "config": comparing.to_json(run.config.raw),
    },
    "frames": 8,
    "patch": [2, 2, 2],
    "grid_shape": [4, 4, 4],
    "codes": 16,
    "width": 16,
  }
  files = {path.name for path in written[0].iterdir()}
  facts = json.loads((written[0] / "meta.json").read_text())["facts"]
  assert files == {"meta.json", *facts["files"]}
  assert len(files) == 6
  assert all(len(digest) == 64 for digest in facts["files"].values())
  assert [p.name for p in written[0].parent.iterdir()] == ["folder"]


def test_the_command_shows_progress_and_use(run, written):
  folder, out, err = written
  ids = token_files.load(folder).train_ids
  used = len(np.unique(ids))
  assert f"1,797 images of digits as 64 tokens each are in {folder}" in out
  assert f"the training split uses {used} of 16 codes" in out
  assert "encoding digits" in err and "1797" in err.replace(",", "")


def test_a_finished_folder_is_not_written_again(run, written, monkeypatch):
  before = (written[0] / "meta.json").stat()
  monkeypatch.setattr(tokens, "encode", None)
  assert not token_files.write(run, written[0])
  after = (written[0] / "meta.json").stat()
  assert (before.st_mtime_ns, before.st_ino) == (
    after.st_mtime_ns,
    after.st_ino,
  )


def test_the_hash_is_that_of_what_encodes_and_decodes(run):
  base = tokens.tokenizer_hash(run)

  def changed(**fields):
    return tokens.tokenizer_hash(dataclasses.replace(run, **fields))

  network = run.params["network"]
  kernel = network["tubelet_stem"]["linear"]["kernel"]
  stem = network["tubelet_stem"] | {
    "linear": network["tubelet_stem"]["linear"]
    | {"kernel": kernel.at[0, 0].add(1e-6)}
  }
  other = run.params | {"network": network | {"tubelet_stem": stem}}
  assert changed(params=other) != base
  codes = run.extra["state"]["quantizer"]
  moved = codes | {"codebook": codes["codebook"].at[3, 1].add(1e-6)}
  assert changed(extra={"state": {"quantizer": moved}}) != base
  # What only training needs may differ.
  judge = jax.tree.map(lambda p: p + 1, run.params["discriminator"])
  counted = codes | {"counts": codes["counts"] + 1}
  assert base == changed(
    params=run.params | {"discriminator": judge},
    extra={"state": {"quantizer": counted}},
    step=99,
  )


# What is refused.

ARRAYS = (
  "train_ids", "train_labels", "test_ids", "test_labels", "codebook"
)  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_a_flipped_bit_anywhere_is_seen(copied, name):
  path = copied / f"{name}.npy"
  whole = path.read_bytes()
  said = rf"are damaged \({name}\.npy does not match"
  for place in (0.2, 0.5, 0.999):
    content = bytearray(whole)
    content[int(place * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match=said):
      token_files.load(copied)


@pytest.mark.parametrize(
  "spoil",
  [
    lambda folder: (folder / "test_ids.npy").unlink(),
    lambda folder: (folder / "test_ids.npy").write_bytes(
      (folder / "test_ids.npy").read_bytes()[:-1]
    ),
    lambda folder: (folder / "meta.json").write_text(
      (folder / "meta.json").read_text().replace('"seed": 0', '"seed": 1')
    ),
  ],
)
def test_cut_and_altered_folders_are_refused(run, copied, spoil):
  spoil(copied)
  for refused in (
    lambda: token_files.load(copied),
    lambda: token_files.write(run, copied),
  ):
    with pytest.raises(errors.UserError, match="are damaged") as caught:
      refused()
    assert "remove the folder" in str(caught.value)


def test_tokens_of_another_tokenizer_are_refused(run, written):
  own = tokens.tokenizer_hash(run)
  assert token_files.load(written[0], tokenizer=own).tokenizer == own
  said = f"are of the tokenizer {own[:12]}, not of {'e' * 12};"
  with pytest.raises(errors.UserError, match=said):
    token_files.load(written[0], tokenizer="e" * 64)


@pytest.mark.parametrize("what", ["tokenizer", "data set", "seed"])
def test_a_folder_of_other_tokens_is_left_alone(run, copied, what):
  if what == "tokenizer":
    codes = jax.tree.map(lambda x: -x, run.extra["state"]["quantizer"])
    other = dataclasses.replace(run, extra={"state": {"quantizer": codes}})
  elif what == "data set":
    image_set = dataclasses.replace(run.image_set, fingerprint="f" * 64)
    other = run.on(image_set)
  else:
    evaluate = dataclasses.replace(run.config.evaluate, seed=4)
    config = dataclasses.replace(run.config, evaluate=evaluate)
    other = dataclasses.replace(run, config=config)
  before = (copied / "meta.json").read_bytes()
  with pytest.raises(errors.UserError, match=f"tokens of another {what}"):
    token_files.write(other, copied)
  assert (copied / "meta.json").read_bytes() == before


def test_folders_without_tokens(run, tmp_path):
  with pytest.raises(errors.UserError, match="holds no tokens; write them"):
    token_files.load(tmp_path / "none")
  (tmp_path / "full").mkdir()
  (tmp_path / "full" / "thesis.txt").write_text("words")
  with pytest.raises(errors.UserError, match="to a folder that is new"):
    token_files.write(run, tmp_path / "full")
  assert (tmp_path / "full" / "thesis.txt").read_text() == "words"
  token_files.cache.write(
    tmp_path / "other", lambda new: new("images", (2, 3)).fill(0), {}
  )
  with pytest.raises(errors.UserError, match="are no tokens: images; give"):
    token_files.load(tmp_path / "other")


def test_mistakes_on_the_command_line(tiny_run, tmp_path, capsys):
  for argv, words in (
    ([], "Say where the run is, with --workdir=DIR."),
    ([f"--workdir={tiny_run}"], "Say where tokens are to go, with --out=DIR."),
    (
      [f"--workdir={tmp_path}/none", f"--out={tmp_path}/out"],
      "There is no checkpoint in",
    ),
    (
      [f"--workdir={tiny_run}", f"--out={tmp_path}/out"],
      "Only runs of the task video_tokenizer have tokens; this is a run of "
      "heat_hvae.",
    ),
    (["--outt=x"], "did you mean '--out'"),
  ):
    assert tokenize.main(argv) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
  assert not (tmp_path / "out").exists()
