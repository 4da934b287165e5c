"""A data set as the ids of a trained tokenizer, encoded once.

  python -m pseudovideo.tokenize --workdir=RUN --out=FOLDER [--step=N]

Encodes both splits of the data set of a run of `video_tokenizer`, under its
averaged weights, for models of tokens. What the folder holds is in
`first_stages.token_files`. A finished folder of the same tokenizer is left as
it is.
"""

import sys
from collections.abc import Sequence

from absl import flags

from pseudovideo import errors
from pseudovideo.commands import saved
from pseudovideo.terminal import command_line, run_flags


def define_flags() -> flags.FlagValues:
  """The flags, apart from --config."""
  values = flags.FlagValues()
  run_flags.define(values)
  flags.DEFINE_string(
    "out", None, "Write the tokens to this new folder.", flag_values=values
  )
  return values


def run(argv: Sequence[str]) -> int:
  """Does what the arguments say; returns the exit code."""
  values = define_flags()
  config = command_line.parse(argv, values, lambda: saved.config(values))
  run_flags.workdir(values)
  if not values.out:
    raise errors.UserError("Say where tokens are to go, with --out=DIR.")
  command_line.set_up()
  # Imported late, so that a mistake in the arguments is answered at once.
  from pseudovideo import runs
  from pseudovideo.first_stages import look_up, token_files, tokens
  from pseudovideo.tasks import first_stage
  from pseudovideo.terminal import progress_bar

  look_up.check(runs.saved_config(values.workdir), first_stage.TOKENIZER)
  restored = runs.restore(
    values.workdir, step=values.step, data_dir=values.data_dir, config=config
  )
  images = restored.image_set
  num = len(images.train_images) + len(images.test_images)
  progress = progress_bar.Progress(num, description=f"encoding {images.name}")
  written = token_files.write(restored, values.out, progress=progress.update)
  progress.close()
  found = token_files.load(values.out)
  usage = tokens.usage(found.train_ids, found.num_codes)
  print(
    f"{num:,} images of {images.name} as {usage['tokens']:,} tokens each "
    f"{'are' if written else 'were already'} in {values.out}; the training "
    f"split uses {usage['codes_used']:,} of {usage['codes']:,} codes, "
    f"perplexity {usage['perplexity']:.1f}."
  )
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  return command_line.answer(run, argv, __doc__, define_flags())


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
