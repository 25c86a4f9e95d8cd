"""The Python blocks of the documents and the examples in docstrings run as they are printed."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import numpack

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = ["numpack", *(f"numpack.{module.name}" for module in pkgutil.iter_modules(numpack.__path__))]


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


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_the_quickstart_is_one_of_them():
    assert doctest.testmod(numpack).attempted > 0


def test_nothing_advises_to_install_another_package_of_this_name():
    """On the public registry the name belongs to another project."""
    advice = re.compile(r"install\s+(?:--?\S+\s+)*['\"]?numpack\b|numpack\[[a-z]+\]", re.IGNORECASE)
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("crates/*/README.md")]
    for folder in ("python", "crates", "examples"):
        texts += [
            *(ROOT / folder).rglob("*.py"),
            *(ROOT / folder).rglob("*.rs"),
            *(ROOT / folder).rglob("*.pyi"),
        ]
    assert len(texts) > 100
    found = [
        f"{path}: {hit[0]}" for path in texts for hit in advice.finditer(path.read_text(encoding="utf-8"))
    ]
    assert [one for one in found if "tests/program/interpreter.rs" not in one] == []
