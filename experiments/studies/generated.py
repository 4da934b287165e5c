"""Samples of models of tokens side by side.

  python -m experiments report generated --preset=small --dataset=cifar10

Draws the first samples of every row of `paper.table2_generation` that is
done, or of those that --rows names, none picked, as
ROOT/DATASET-PRESET/generated.png.
"""

from collections.abc import Sequence

from experiments.paper import table2_generation
from experiments.running import commands, work
from pseudovideo import errors
from pseudovideo.report import composing, drawing
from pseudovideo.runs import sample_files

SHOWN = 64


def draw(values: commands.Values) -> int:
  """Writes the picture and prints where it is; returns the exit code.

  Raises:
    UserError: no row is done, or not all that --rows names.
  """
  jobs = commands.chosen_jobs(table2_generation.TABLE, values)
  done = [job for job in jobs if work.results_of(job, values.root)]
  if not done or (values.rows and len(done) < len(jobs)):
    missing = [job.name for job in jobs if job not in done]
    raise errors.UserError(
      f"There are no samples of {', '.join(missing)} below {values.root} yet; "
      "python -m experiments run table2_generation draws them."
    )
  grids = {}
  for job in done:
    path = job.workdir(values.root) / sample_files.NAME
    grids[job.title] = drawing.grid(sample_files.load(path).images[:SHOWN])
  path = done[0].folder(values.root) / "generated.png"
  drawing.save_png(path, composing.captioned(grids))
  print(path)
  return 0


def main(argv: Sequence[str]) -> int:
  """The command; returns the exit code."""
  command = commands.Command(commands.WHICH_RUNS, draw)
  return commands.main({"report": command}, __doc__, argv)
