"""Arrays in and out of what people already use: files of other formats, tables, tensors, objects in S3.

`from_X(source, "data.npk")` stores, `to_X("data.npk", target)` writes or returns. Everything appears whole or
not at all; files of any size pass through about `chunk_size` bytes of memory. A format's library is imported
when it is first used: without it, `DependencyError` names it. See docs/conversions.md.
"""

from numpack._package import get_package_info, pack, unpack
from numpack.io._errors import DependencyError
from numpack.io._sizes import (
    DEFAULT_BATCH_ROWS,
    DEFAULT_CHUNK_SIZE,
    LARGE_FILE_THRESHOLD,
    estimate_chunk_rows,
    get_file_size,
    is_large_file,
)
from numpack.io.arrow import (
    arrow_to_numpy_zero_copy,
    from_table,
    numpy_to_arrow_zero_copy,
    table_to_numpy_zero_copy,
    to_table,
)
from numpack.io.csv import from_csv, from_txt, to_csv, to_txt
from numpack.io.feather import from_feather, from_feather_file, to_feather, to_feather_file
from numpack.io.hdf5 import from_hdf5, to_hdf5
from numpack.io.npy import from_npy, to_npy
from numpack.io.pandas import from_dataframe, to_dataframe
from numpack.io.parquet import (
    from_parquet,
    from_parquet_file,
    from_parquet_table,
    to_parquet,
    to_parquet_file,
    to_parquet_table,
)
from numpack.io.s3 import from_s3, to_s3
from numpack.io.safetensors import (
    from_safetensors_file,
    from_tensor_dict,
    get_safetensors_metadata,
    iter_safetensors,
    to_safetensors_file,
    to_tensor_dict,
)
from numpack.io.torch import from_pt, from_tensor, to_pt, to_tensor
from numpack.io.zarr import from_zarr, to_zarr
from numpack.io.zero_copy import (
    DLPackBuffer,
    ZeroCopyArray,
    from_dlpack,
    numpy_to_torch_zero_copy,
    to_dlpack,
    torch_to_numpy_zero_copy,
    wrap_for_zero_copy,
)

__all__ = [
    "DEFAULT_BATCH_ROWS",
    "DEFAULT_CHUNK_SIZE",
    "DLPackBuffer",
    "DependencyError",
    "LARGE_FILE_THRESHOLD",
    "ZeroCopyArray",
    "arrow_to_numpy_zero_copy",
    "estimate_chunk_rows",
    "from_csv",
    "from_dataframe",
    "from_dlpack",
    "from_feather",
    "from_feather_file",
    "from_hdf5",
    "from_npy",
    "from_parquet",
    "from_parquet_file",
    "from_parquet_table",
    "from_pt",
    "from_s3",
    "from_safetensors_file",
    "from_table",
    "from_tensor",
    "from_tensor_dict",
    "from_txt",
    "from_zarr",
    "get_file_size",
    "get_package_info",
    "get_safetensors_metadata",
    "is_large_file",
    "iter_safetensors",
    "numpy_to_arrow_zero_copy",
    "numpy_to_torch_zero_copy",
    "pack",
    "table_to_numpy_zero_copy",
    "to_csv",
    "to_dataframe",
    "to_dlpack",
    "to_feather",
    "to_feather_file",
    "to_hdf5",
    "to_npy",
    "to_parquet",
    "to_parquet_file",
    "to_parquet_table",
    "to_pt",
    "to_s3",
    "to_safetensors_file",
    "to_table",
    "to_tensor",
    "to_tensor_dict",
    "to_txt",
    "to_zarr",
    "torch_to_numpy_zero_copy",
    "unpack",
    "wrap_for_zero_copy",
]
