"""What is given in memory and does not fit: masked arrays, wrong containers, arrays without elements."""

import numpy as np
import pytest
from io_arrays import assert_same, load, names, save

from numpack.io import (
    from_dlpack,
    from_tensor,
    from_tensor_dict,
    numpy_to_arrow_zero_copy,
    numpy_to_torch_zero_copy,
    table_to_numpy_zero_copy,
    to_dataframe,
    to_dlpack,
    to_safetensors_file,
    to_table,
    wrap_for_zero_copy,
)

MASKED = np.ma.array([1.0, 2.0], mask=[False, True])


def test_masked_tensors(old):
    with pytest.raises(TypeError, match="array 'x': a masked array would lose its mask"):
        from_tensor(MASKED, old, "x")
    with pytest.raises(TypeError, match="array 'b': a masked array would lose its mask"):
        from_tensor_dict({"a": np.ones(2), "b": MASKED}, old)
    assert names(old) == ["old"]


@pytest.mark.parametrize(
    "share", [to_dlpack, from_dlpack, wrap_for_zero_copy, numpy_to_arrow_zero_copy, numpy_to_torch_zero_copy]
)
def test_masked_memory_is_not_shared(share):
    if share is numpy_to_arrow_zero_copy:
        pytest.importorskip("pyarrow")
    with pytest.raises(TypeError, match="would lose its mask"):
        share(MASKED)


@pytest.mark.parametrize("given", [[1], np.ones(3), "x", None], ids=repr)
def test_tensors_that_are_no_dictionary(old, given):
    with pytest.raises(TypeError, match="tensors must be a dictionary of name: array, got"):
        from_tensor_dict(given, old)
    with pytest.raises(TypeError, match="array names are str, got 1"):
        from_tensor_dict({1: np.ones(2)}, old)
    assert names(old) == ["old"]


@pytest.mark.parametrize("metadata", [["a"], "text", {"a": 1}, [], 5], ids=repr)
def test_metadata_that_is_no_dictionary(tmp_path, old, metadata):
    pytest.importorskip("safetensors")
    with pytest.raises(TypeError, match="metadata must be a dictionary of str: str, (got|and holds)"):
        to_safetensors_file(old, tmp_path / "a.safetensors", metadata=metadata)
    assert not (tmp_path / "a.safetensors").exists()


def test_arrays_without_elements(npk):
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    save(npk, x=np.zeros(0, "f4"), y=np.zeros((0, 2), "i2"), z=np.zeros((0, 3, 2)))
    frame = to_dataframe(npk, "x")
    assert frame.shape == (0, 1) and list(frame.columns) == ["x"] and frame.dtypes.iloc[0] == np.float32
    assert_same(table_to_numpy_zero_copy(to_table(npk, "x"))["x"], load(npk, "x"))
    assert_same(table_to_numpy_zero_copy(to_table(npk, "y"), "col1")["col1"], np.zeros(0, "i2"))
    assert_same(table_to_numpy_zero_copy(to_table(npk, "z"))["z"], load(npk, "z"))
    for shape in [(3, 0, 2), (0, 0), (3, 2, 0)]:
        with pytest.raises(ValueError, match=f"of shape \\({', '.join(map(str, shape))}\\)"):
            numpy_to_arrow_zero_copy(np.zeros(shape))
    assert len(numpy_to_arrow_zero_copy(np.zeros((0, 3)))) == 0
