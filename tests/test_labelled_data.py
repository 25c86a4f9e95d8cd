"""Tables and labelled arrays of other libraries: refused alike, by every verb, with the function to use instead."""

import numpy as np
import pytest

from numpack import NumPack

# Library and class, how an instance is made, and what to use.
KINDS = [
    ("pandas", "DataFrame", lambda pd: pd.DataFrame({"a": [1.0, 2.0]}), "numpack.io.from_dataframe"),
    ("pandas", "Series", lambda pd: pd.Series([1.0, 2.0]), "numpack.io.from_dataframe"),
    ("pandas", "Index", lambda pd: pd.Index([1.0, 2.0]), "to_numpy"),
    ("pandas", "RangeIndex", lambda pd: pd.RangeIndex(2), "to_numpy"),
    ("pandas", "Categorical", lambda pd: pd.Categorical([1.0, 2.0]), "to_numpy"),
    ("pandas", "FloatingArray", lambda pd: pd.array([1.0, None], dtype="Float64"), "to_numpy"),
    ("polars", "DataFrame", lambda pl: pl.DataFrame({"a": [1.0, 2.0]}), "numpack.io.from_table"),
    ("polars", "LazyFrame", lambda pl: pl.LazyFrame({"a": [1.0, 2.0]}), "numpack.io.from_table"),
    ("polars", "Series", lambda pl: pl.Series([1.0, 2.0]), "to_numpy"),
    ("xarray", "DataArray", lambda xr: xr.DataArray([1.0, 2.0]), "to_numpy"),
    ("xarray", "Dataset", lambda xr: xr.Dataset({"a": ("x", [1.0, 2.0])}), "to_numpy"),
    ("xarray", "Variable", lambda xr: xr.Variable("x", [1.0, 2.0]), "to_numpy"),
    ("pyarrow", "Table", lambda pa: pa.table({"a": [1.0, 2.0]}), "numpack.io.from_table"),
    ("pyarrow", "RecordBatch", lambda pa: pa.record_batch({"a": [1.0, 2.0]}), "numpack.io.from_table"),
    ("pyarrow", "DoubleArray", lambda pa: pa.array([1.0, 2.0]), "to_numpy"),
    ("pyarrow", "ChunkedArray", lambda pa: pa.chunked_array([[1.0, 2.0]]), "to_numpy"),
]
VERBS = {
    "save": lambda store, value: store.save({"new": value}),
    "save over": lambda store, value: store.save({"x": value}),
    "append": lambda store, value: store.append({"x": value}),
    "replace": lambda store, value: store.replace({"x": value}, [0, 1]),
    "setitem": lambda store, value: store.__setitem__("new", value),
    "one of two": lambda store, value: store.save({"other": np.ones(2), "new": value}),
}


@pytest.mark.parametrize(
    ("library", "name", "make", "way"), KINDS, ids=[f"{kind[0]}.{kind[1]}" for kind in KINDS]
)
@pytest.mark.parametrize("batch", [False, True])
def test_refused_alike(tmp_path, library, name, make, way, batch):
    value = make(pytest.importorskip(library))
    refused_by_every_verb(tmp_path, value, f"a {library} {name} would lose its", way, batch)


@pytest.mark.parametrize("library", ["polars", "xarray"])
@pytest.mark.parametrize("batch", [False, True])
def test_libraries_that_are_not_installed_here(tmp_path, library, batch):
    """A class of the same name and module, and one that is made of it."""
    name = {"polars": "DataFrame", "xarray": "DataArray"}[library]
    base = type(name, (), {"__module__": f"{library}.core", "__array__": lambda self, *_, **__: np.ones(2)})
    for value in (base(), type("Derived", (base,), {"__module__": "mine"})()):
        expected = f"a {library} {type(value).__name__} would lose its"
        refused_by_every_verb(tmp_path, value, expected, "use ", batch)


def refused_by_every_verb(tmp_path, value, text, way, batch):
    with NumPack(tmp_path / "data.npk") as store:
        store.save({"x": np.arange(2.0)})
        if not batch:
            refuse(store, value, text, way)
        else:
            with store.batch_mode():
                refuse(store, value, text, way)
                store.load("x")
                refuse(store, value, text, way)
        assert store.get_member_list() == ["x"] and store.load("x").tolist() == [0, 1]


def refuse(store, value, text, way):
    for call in VERBS.values():
        with pytest.raises(TypeError, match=text) as caught:
            call(store, value)
        assert way in str(caught.value)


def test_arrays_of_other_kinds_are_taken(tmp_path):
    class Wrapped:
        def __array__(self, *_, **__):
            return np.arange(2.0)

    with NumPack(tmp_path / "data.npk") as store, store.batch_mode():
        store.save(
            {
                "wrapped": Wrapped(),
                "list": [1.0, 2.0],
                "memory": memoryview(b"ab"),
            }
        )
        assert store.load("wrapped").tolist() == [0, 1]
