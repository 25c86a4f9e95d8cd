"""Every file format by its name: how it is read and written, and what its endings are."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional

from numpack import NumPack
from numpack.io import csv, feather, hdf5, npy, parquet, safetensors, torch, zarr


class Format(NamedTuple):
    """The functions of a format: `read(file, store, ...)` and `write(store, file, ...)`."""

    read: Callable[..., Optional[NumPack]]
    write: Callable[..., None]
    several: bool
    """Whether a file holds several arrays, by their names."""


FORMATS: Dict[str, Format] = {
    "npy": Format(npy.from_npy, npy.to_npy, False),
    "npz": Format(npy.from_npy, npy.to_npy, True),
    "csv": Format(csv.from_csv, csv.to_csv, False),
    "txt": Format(csv.from_txt, csv.to_txt, False),
    "hdf5": Format(hdf5.from_hdf5, hdf5.to_hdf5, True),
    "zarr": Format(zarr.from_zarr, zarr.to_zarr, True),
    "parquet": Format(parquet.from_parquet, parquet.to_parquet, False),
    "feather": Format(feather.from_feather, feather.to_feather, False),
    "pt": Format(torch.from_pt, torch.to_pt, True),
    "safetensors": Format(safetensors.from_safetensors_file, safetensors.to_safetensors_file, True),
}
#: Endings that are not the name of their format.
ENDINGS: Dict[str, str] = {
    "h5": "hdf5",
    "pq": "parquet",
    "arrow": "feather",
    "pth": "pt",
    "tsv": "txt",
}


def options_of(path: str) -> Dict[str, Any]:
    """What an ending says beside the format: a .tsv file has tabs."""
    return {"delimiter": "\t"} if path.lower().endswith(".tsv") else {}
