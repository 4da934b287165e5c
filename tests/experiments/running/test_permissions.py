"""Runs that may not be read are no results, and none is made again."""

import pytest

from configs import hvae
from experiments.rows import base
from experiments.running import commands, work
from tests import users

ROW = base.Row("heat", "a row", hvae, {"encoder": "heat"})
TABLE = base.Table("toy", "A toy", "toys", (ROW,))


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_a_closed_folder_is_left_out_of_a_table(write_finished, capsys, mode):
  job = base.Job(ROW, "digits", "tiny", 0)
  with users.folder() as root:
    write_finished(job, root)
    users.give(root)
    assert work.results_of(job, root) is not None
    job.workdir(root).chmod(mode)
    arguments = ["--preset=tiny", f"--root={root}"]
    with users.bound():
      found = work.found(job, root)
      codes = [
        commands.table_main(TABLE, "A toy.", [name, *arguments])
        for name in ("report", "run")
      ]
    assert found.done is None and found.faults
    assert codes == [0, 2] and "permissions" in capsys.readouterr().err
    job.workdir(root).chmod(0o700)
    assert work.results_of(job, root) is not None
