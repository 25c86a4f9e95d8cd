"""Every example runs to its end without complaint. What each shows, it asserts itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "demo")


@pytest.mark.parametrize("name", NAMES)
def test_example(name, tmp_path):
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"


def test_each_has_a_twin_in_rust():
    assert len(NAMES) == 5
    assert sorted(path.stem for path in EXAMPLES.glob("*.rs") if path.stem != "demo") == NAMES
