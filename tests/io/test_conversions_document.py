"""The examples of docs/conversions.md run as they stand, and its table names every function."""

import re
from pathlib import Path

import pytest

import numpack.io

TEXT = (Path(__file__).parents[2] / "docs" / "conversions.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(tmp_path, monkeypatch, code):
    for library in ("torch", "h5py", "zarr", "pyarrow", "safetensors"):
        if f"import {library}" in code or f"_{library}" in code or (library == "pyarrow" and "arrow" in code):
            pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/conversions.md", "exec"), {})


def test_every_conversion_is_named():
    functions = [name for name in numpack.io.__all__ if name.startswith(("from_", "to_", "numpy_", "torch_"))]
    aliases = {"from_parquet_file", "to_parquet_file", "from_feather_file", "to_feather_file"}
    missing = [name for name in functions if f"`{name}`" not in TEXT and f"`{name}(" not in TEXT]
    assert set(missing) <= aliases | {"from_parquet_table", "to_parquet_table"}
