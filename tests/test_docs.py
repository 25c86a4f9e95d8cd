"""The Python blocks of the documents and the examples in docstrings run as they are printed."""

import doctest
import re
from pathlib import Path

import pytest

import numpack

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_blocks_run_in_order(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert blocks
    names = {"__name__": "__main__"}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        # The line numbers of a failure are those of the document.
        exec(compile("\n" * line + block.group(1), document, "exec"), names)


def test_docstring_of_the_package():
    failed, run = doctest.testmod(numpack)
    assert run
    assert not failed
