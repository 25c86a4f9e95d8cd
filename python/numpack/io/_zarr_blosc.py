"""Blosc chunks of Zarr, looked at before they are decoded.

The library believes what a chunk says of its own length, and reads on behind one that is cut. The codecs of an array
are therefore replaced by ones that compare that length with what is there, on every way to a chunk: zarr's own, from
shards too.
"""

from __future__ import annotations

import copy
import struct
from typing import Any

from numpack.io._errors import need

_HEADER = struct.Struct("<12xI")


def check_blosc(data: Any) -> None:
    """Raises ValueError for a chunk that is shorter than it says."""
    view = memoryview(data).cast("B")
    if len(view) < _HEADER.size:
        raise ValueError(f"a Blosc chunk of {len(view)} bytes is cut off")
    (encoded,) = _HEADER.unpack_from(view)
    if encoded > len(view):
        raise ValueError(f"a Blosc chunk is cut off: it has {len(view)} bytes of {encoded}")


def with_checks(zarr: Any, array: Any) -> Any:
    """The array, whose Blosc codecs look at every chunk first."""
    metadata = copy.copy(array.metadata)
    if metadata.zarr_format == 2:
        object.__setattr__(metadata, "compressor", _checked(metadata.compressor))
        if metadata.filters:
            object.__setattr__(metadata, "filters", tuple(map(_checked, metadata.filters)))
    else:
        object.__setattr__(
            metadata, "codecs", tuple(_checked_in_shards(zarr, one) for one in metadata.codecs)
        )
    return zarr.Array(zarr.AsyncArray(metadata, array.store_path))


def _checked_in_shards(zarr: Any, codec: Any) -> Any:
    if not isinstance(codec, zarr.codecs.ShardingCodec):
        return _checked(codec)
    return zarr.codecs.ShardingCodec(
        chunk_shape=codec.chunk_shape,
        codecs=[_checked_in_shards(zarr, one) for one in codec.codecs],
        index_codecs=[_checked(one) for one in codec.index_codecs],
        index_location=codec.index_location,
    )


def _checked(codec: Any) -> Any:
    """A codec of zarr or numcodecs; one of Blosc as a copy that looks first."""
    if "blosc" not in type(codec).__name__.lower():
        return codec
    found = object.__new__(_checking(type(codec)))
    vars(found).update(vars(codec))
    return found


def _checking(base: Any) -> Any:
    """The class of codecs of this kind that look first."""
    of_numcodecs = issubclass(base, need("numcodecs").abc.Codec)
    return type(base.__name__, (_OfNumcodecs if of_numcodecs else _OfZarr, base), {})


class _OfNumcodecs:
    def decode(self, buf: Any, out: Any = None) -> Any:
        check_blosc(buf)
        return super().decode(buf, out)  # type: ignore[misc]


class _OfZarr:
    """What zarr calls is one of these two."""

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check_blosc(chunk_bytes.as_numpy_array())
        return super()._decode_sync(chunk_bytes, chunk_spec)  # type: ignore[misc]

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        check_blosc(chunk_bytes.as_numpy_array())
        return await super()._decode_single(chunk_bytes, chunk_spec)  # type: ignore[misc]
