"""What the tests share: stores in temporary folders, programs in their own processes, Hypothesis settings."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import traceback
import warnings

import pytest
from hypothesis import HealthCheck, settings

from numpack import NumPack

settings.register_profile(
    "numpack",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("numpack")

# Without these some tests are skipped; `make test` sees to it that none is.
OPTIONAL = [
    "boto3",
    "h5py",
    "moto.server",
    "numcodecs",
    "obstore",
    "pandas",
    "polars",
    "pyarrow",
    "safetensors",
    "scipy",
    "sklearn",
    "tqdm",
    "xarray",
    "zarr",
]


def pytest_configure():
    """Fails at once when everything is to be tested and a library is not there."""
    # A shell ignores Ctrl-C for what it runs in the background, and every child of ours would inherit that: tests that
    # interrupt one would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("NUMPACK_TEST_EVERYTHING"):
        for library in OPTIONAL:
            importlib.import_module(library)


@pytest.fixture
def path(tmp_path):
    """Where a store may be made."""
    return tmp_path / "store.npk"


@pytest.fixture
def npk(path):
    """An open, empty store."""
    with NumPack(path) as store:
        yield store


def run(program, *args, check=True, **options):
    """Runs a Python program in a process of its own and returns what it printed."""
    program = textwrap.dedent(program)
    command = [sys.executable, "-W", "error", "-c", program, *map(os.fspath, map(str, args))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout.strip()


@pytest.fixture
def program():
    """The function `run`."""
    return run


def forked(check):
    """Runs a check in a forked child; returns its exit status, 0 when it held."""
    with warnings.catch_warnings():
        # Newer Pythons warn of any fork beside threads; that it works is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        check()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@pytest.fixture
def in_child():
    """The function `forked`."""
    return forked
