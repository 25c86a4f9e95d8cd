"""Objects in S3, by obstore: downloaded to, or uploaded from, a temporary file in the object's format.

A download is a chain of ranged requests for one version of the object, so one that is cut off goes on where it
stood; an upload shows the object when its last part has arrived.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Dict, Iterator, Optional, Tuple

from numpack import NumPack
from numpack.io._errors import need
from numpack.io._formats import ENDINGS, FORMATS
from numpack.io._inputs import check_flag
from numpack.io._max_bytes import Bound
from numpack.io._partial import name_instead
from numpack.io._progress import Meter, Progress
from numpack.io._sizes import PathLike

_PART = 8 << 20


# A Zarr group is a folder, which is not an object.
_FORMATS = {name: format for name, format in FORMATS.items() if name != "zarr"}
# What other clients call the same options.
_ALIASES = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "endpoint_url": "endpoint",
    "region_name": "region",
    "anon": "skip_signature",
}


def from_s3(
    s3_path: str,
    output_path: PathLike,
    format: str = "auto",
    drop_if_exists: bool = False,
    *,
    array_name: Optional[str] = None,
    format_options: Optional[Dict[str, Any]] = None,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
    **storage_options: Any,
) -> Optional[NumPack]:
    """Stores the arrays of an object "s3://bucket/key" in one of the file formats, in one commit.

    format: "npy", "npz", "csv", "txt", "hdf5", "parquet", "feather", "pt", "safetensors", or "auto" for the key's
    suffix. format_options: further arguments for that format's function. progress: counts downloaded bytes.
    storage_options: as for obstore.store.S3Store (access_key_id, secret_access_key, region, endpoint,
    client_options, retry_config, ...) or their names in s3fs and boto3; what is missing comes from the environment.
    Needs disk space for the object beside the store. Raises FileNotFoundError for a missing bucket or object,
    PermissionError for refused credentials, OSError for a connection that stays cut, and what the format raises.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    check_flag("drop_if_exists", drop_if_exists)
    Bound(max_bytes, None)
    chosen = _chosen(s3_path, format)
    bucket, key = _split(s3_path)
    place = Path(os.path.realpath(output_path)).parent
    name = array_name
    if name is None and chosen in ("npy", "csv", "txt", "parquet", "feather"):
        name = PurePosixPath(key).stem
    with tempfile.TemporaryDirectory(prefix=".numpack-s3-", dir=place) as folder:
        local = Path(folder) / f"object.{chosen}"
        with _errors(s3_path):
            _download(_store(bucket, storage_options), key, local, progress)
        options = {
            "drop_if_exists": drop_if_exists,
            "max_bytes": max_bytes,
            "return_npk_obj": return_npk_obj,
            **(format_options or {}),
        }
        try:
            return _FORMATS[chosen].read(local, output_path, array_name=name, **options)
        except Exception as error:
            name_instead(error, os.fspath(local), s3_path)
            raise


def to_s3(
    input_path: PathLike,
    s3_path: str,
    format: str = "auto",
    array_name: Optional[str] = None,
    *,
    format_options: Optional[Dict[str, Any]] = None,
    progress: Progress = None,
    **storage_options: Any,
) -> None:
    """Writes arrays of a store to an object "s3://bucket/key"; arguments and errors as for `from_s3`.

    progress: counts uploaded bytes. Needs disk space for the object in the folder for temporary files.
    """
    chosen = _chosen(s3_path, format)
    bucket, key = _split(s3_path)
    with tempfile.TemporaryDirectory(prefix="numpack-s3-") as folder:
        local = Path(folder) / f"object.{chosen}"
        _FORMATS[chosen].write(input_path, local, array_name=array_name, **(format_options or {}))
        with _errors(s3_path):
            _upload(_store(bucket, storage_options), key, local, progress)


def object_exists(path: str) -> bool:
    """Whether there is an object at "s3://bucket/key". Errors as for `from_s3`, but for a missing bucket."""
    bucket, key = _split(path)
    obstore = need("obstore")
    try:
        with _errors(path):
            obstore.head(_store(bucket, {}), key)
    except FileNotFoundError:
        return False
    return True


def _chosen(path: str, name: str) -> str:
    """The format of an object. Raises ValueError for others."""
    if name == "auto":
        name = PurePosixPath(path).suffix.lstrip(".").lower()
    name = ENDINGS.get(name, name)
    if name not in _FORMATS:
        raise ValueError(f"{path}: format {name!r} is none of {', '.join(_FORMATS)}")
    return name


def _split(path: str) -> Tuple[str, str]:
    """Bucket and key, which is taken as it stands: #, ? and % are characters like any other."""
    bucket, _, key = path.partition("://")[2].partition("/")
    if not path.startswith("s3://") or not bucket or not key:
        raise ValueError(f"expected s3://bucket/key, got {path!r}")
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(
            f"{path}: a part between slashes is empty or dots, of which the library makes another key"
        )
    return bucket, key


def _store(bucket: str, options: Dict[str, Any]) -> Any:
    known = {_ALIASES.get(name, name): value for name, value in options.items()}
    if str(known.get("endpoint", "")).startswith("http://"):
        known["client_options"] = {"allow_http": True, **known.get("client_options", {})}
    return need("obstore.store").S3Store(bucket, **known)


def _download(store: Any, key: str, local: Path, progress: Progress) -> None:
    """Reads the object part by part; every part must be of the version that was there at first."""
    obstore = need("obstore")
    head = obstore.head(store, key)
    size, tag = head["size"], head.get("e_tag")
    with open(local, "wb") as file, Meter(progress, size) as meter:
        for start in range(0, size, _PART):
            stop = min(start + _PART, size)
            part = obstore.get(store, key, options={"range": (start, stop), "if_match": tag}).bytes()
            if len(part) != stop - start:
                raise OSError(f"{key}: {len(part)} bytes came for the range {start}..{stop}")
            file.write(part)
            meter.add(len(part))


def _upload(store: Any, key: str, local: Path, progress: Progress) -> None:
    """Sends the file part by part; the object shows when the last one has arrived."""
    obstore = need("obstore")
    with open(local, "rb") as file, Meter(progress, local.stat().st_size) as meter:
        obstore.put(store, key, _parts(file, meter), chunk_size=_PART)


def _parts(file: IO[bytes], meter: Meter) -> Iterator[bytes]:
    """Parts of a file, each counted once its user asks for the next."""
    while part := file.read(_PART):
        yield part
        meter.add(len(part))


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """obstore's exceptions as Python's own."""
    exceptions = need("obstore.exceptions")
    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(f"{path}: {_told(error)}") from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionError(f"{path}: {_told(error)}") from None
    except exceptions.BaseError as error:
        raise OSError(f"{path}: {_told(error)}") from None


def _told(error: Exception) -> str:
    """What an error says, in one line, without the dump of the library's own structures."""
    return " ".join(str(error).partition("Debug source:")[0].split())
