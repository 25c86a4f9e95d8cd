"""S3 against a real server on loopback: up, down, refused credentials, missing buckets, cut connections."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from datetime import timedelta

import numpy as np
import pytest
from io_arrays import assert_same, load, names, sample, save

from numpack.io import from_s3, to_s3

pytest.importorskip("obstore")
pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")

pytestmark = pytest.mark.filterwarnings("ignore:Boto3")

FAST = {
    "max_retries": 1,
    "backoff": {
        "init_backoff": timedelta(milliseconds=10),
        "max_backoff": timedelta(milliseconds=20),
        "base": 2,
    },
    "retry_timeout": timedelta(seconds=5),
}
# Calls about users that the server answers before it asks for credentials.
SETUP_CALLS = 3


@pytest.fixture(scope="module")
def server():
    """Port of a server that has a bucket `data` and one user."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = iter(process.stderr.readline, "")
    port = next(
        int(found[1]) for found in (re.search(r"127\.0\.0\.1:(\d+)", line) for line in lines) if found
    )
    reader = threading.Thread(target=process.stderr.read, daemon=True)
    reader.start()
    yield port
    process.terminate()
    process.wait(10)
    reader.join(10)
    process.stderr.close()


@pytest.fixture(scope="module")
def access(server):
    """Storage options of the user."""
    url = f"http://127.0.0.1:{server}"
    options = {"endpoint_url": url, "region_name": "us-east-1"}
    anyone = {"aws_access_key_id": "x", "aws_secret_access_key": "x", **options}
    boto3.client("s3", **anyone).create_bucket(Bucket="data")
    text = {"Content-Type": "text/plain"}
    request = urllib.request.Request(
        f"{url}/moto-api/reset-auth", str(SETUP_CALLS).encode(), text, method="POST"
    )
    urllib.request.urlopen(request).close()
    iam = boto3.client("iam", **anyone)
    iam.create_user(UserName="user")
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=json.dumps(allow))
    key = iam.create_access_key(UserName="user")["AccessKey"]
    return {
        "access_key_id": key["AccessKeyId"],
        "secret_access_key": key["SecretAccessKey"],
        "endpoint": url,
        "region": "us-east-1",
        "retry_config": FAST,
    }


@pytest.mark.parametrize(
    "key", ["a.npy", "deep/er/a.npz", "a.csv", "a.h5", "a.parquet", "a.feather", "a.safetensors"]
)
def test_up_and_down(tmp_path, npk, access, key):
    array = sample("float64", (40, 3)) if key != "a.csv" else np.arange(120.0).reshape(40, 3)
    save(npk, a=array)
    to_s3(npk, f"s3://data/{key}", **access)
    from_s3(f"s3://data/{key}", tmp_path / "b.npk", **access)
    assert_same(load(tmp_path / "b.npk", "a"), array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.npk", "data.npk"]


def test_many_parts_and_options(tmp_path, npk, access):
    array = np.random.default_rng(1).random((30, 100_000))
    save(npk, a=array, other=np.arange(3))
    to_s3(npk, "s3://data/object", "npy", "a", **access)
    seen = []
    store = from_s3(
        "s3://data/object",
        tmp_path / "b.npk",
        "npy",
        array_name="c",
        format_options={"chunk_size": 1 << 20},
        progress=lambda *call: seen.append(call),
        return_npk_obj=True,
        **access,
    )
    assert_same(store.load("c"), array)
    assert [done for done, _ in seen] == [8 << 20, 16 << 20, 24_000_128] and seen[0][1] == 24_000_128
    store.close()
    with pytest.raises(ValueError, match="format '' is none of"):
        from_s3("s3://data/object", npk, **access)


def test_names_of_options_in_other_clients(tmp_path, old, access):
    same = {
        "key": access["access_key_id"],
        "secret": access["secret_access_key"],
        "endpoint_url": access["endpoint"],
        "region_name": access["region"],
    }
    to_s3(old, "s3://data/old.npy", **same)
    from_s3("s3://data/old.npy", tmp_path / "b.npk", array_name="x", **same)
    assert_same(load(tmp_path / "b.npk", "x"), np.arange(5))


def test_wrong_credentials(tmp_path, old, access):
    to_s3(old, "s3://data/a.npy", **access)
    wrong = {**access, "secret_access_key": "wrong"}
    with pytest.raises(PermissionError, match="s3://data/a.npy: [^\n]*$"):
        from_s3("s3://data/a.npy", tmp_path / "b.npk", **wrong)
    with pytest.raises(PermissionError, match="s3://data/b.npy"):
        to_s3(old, "s3://data/b.npy", **wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["data.npk"]
    with pytest.raises(FileNotFoundError):
        from_s3("s3://data/b.npy", old, **access)


def test_what_is_missing(tmp_path, old, access):
    for path in ("s3://data/none.npy", "s3://nowhere/a.npy"):
        with pytest.raises(FileNotFoundError, match=path) as error:
            from_s3(path, old, **access)
        assert "Debug" not in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        to_s3(old, "s3://nowhere/a.npy", **access)
    for path in ("data/a.npy", "https://data/a.npy", "s3://data", "s3:///a.npy"):
        with pytest.raises(ValueError):
            from_s3(path, old, "npy", **access)
    with pytest.raises(ValueError, match="'zarr' is none of"):
        to_s3(old, "s3://data/a.zarr", **access)
    assert names(old) == ["old"]


class Cutter:
    """A proxy that cuts a connection after `limit` bytes from the server, at most `times` times."""

    def __init__(self, port, limit, times=1000):
        self._target, self._limit, self._times = port, limit, times
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, self._limit), daemon=True).start()

    def _serve(self, client, limit):
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=self._copy, args=(client, server, None), daemon=True).start()
            self._copy(server, client, limit)
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)

    def _copy(self, source, target, limit):
        try:
            while part := source.recv(65536):
                if limit is not None and limit < len(part) and self.cuts < self._times:
                    target.sendall(part[:limit])
                    self.cuts += 1
                    return
                limit = None if limit is None else limit - len(part)
                target.sendall(part)
        except OSError:
            return

    def close(self):
        self._socket.close()


@pytest.fixture
def big(npk, access):
    """An object of 24 MB, which takes three ranges."""
    array = np.random.default_rng(2).random(3_000_000)
    save(npk, a=array)
    to_s3(npk, "s3://data/big.npy", array_name="a", **access)
    return array


def test_a_connection_that_stays_cut(tmp_path, old, server, access, big):
    cutter = Cutter(server, 4_000_000)
    with pytest.raises(OSError, match="s3://data/big.npy"):
        from_s3(
            "s3://data/big.npy",
            old,
            array_name="fresh",
            **{**access, "endpoint": f"http://127.0.0.1:{cutter.port}"},
        )
    cutter.close()
    assert cutter.cuts > 0
    assert names(old) == ["a", "old"]
    assert [path.name for path in tmp_path.iterdir()] == ["data.npk"]


def test_a_connection_that_is_cut_once(tmp_path, server, access, big):
    cutter = Cutter(server, 4_000_000, times=1)
    from_s3(
        "s3://data/big.npy", tmp_path / "b.npk", **{**access, "endpoint": f"http://127.0.0.1:{cutter.port}"}
    )
    cutter.close()
    assert cutter.cuts == 1
    assert_same(load(tmp_path / "b.npk", "big"), big)


def test_an_upload_that_is_cut(npk, server, access, big):
    cutter = Cutter(server, 50)
    with pytest.raises(OSError):
        to_s3(
            npk,
            "s3://data/never.npy",
            array_name="a",
            **{**access, "endpoint": f"http://127.0.0.1:{cutter.port}"},
        )
    cutter.close()
    with pytest.raises(FileNotFoundError):
        from_s3("s3://data/never.npy", npk, **access)


def test_the_program(tmp_path, access, server):
    """`numpack export` and `import` of an object; what is there already stays without --overwrite."""
    array = sample("float32")
    save(tmp_path / "data.npk", array=array)
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": access["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": access["secret_access_key"],
        "AWS_ENDPOINT_URL": access["endpoint"],
        "AWS_REGION": access["region"],
        "AWS_ALLOW_HTTP": "true",
    }

    def program(*arguments):
        command = [sys.executable, "-m", "numpack", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    for key in ("program.npy", "program.npz"):
        done = program("export", "data.npk", f"s3://data/{key}", "array")
        assert (done.returncode, done.stderr) == (0, "")
        again = program("export", "data.npk", f"s3://data/{key}", "array")
        assert again.returncode == 2 and f"s3://data/{key} already exists" in again.stderr
        assert program("export", "data.npk", f"s3://data/{key}", "array", "--overwrite").returncode == 0
        done = program("import", f"s3://data/{key}", f"{key}.npk", "--json")
        name = "program" if key.endswith("npy") else "array"
        assert [found["name"] for found in json.loads(done.stdout)["arrays"]] == [name]
        assert_same(load(tmp_path / f"{key}.npk", name), array)
    missing = program("import", "s3://data/missing.npy", "new.npk")
    assert missing.returncode == 2 and "s3://data/missing.npy" in missing.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data.npk",
        "program.npy.npk",
        "program.npz.npk",
    ]


def test_progress_of_an_upload(tmp_path, npk, access):
    save(npk, x=np.random.default_rng(1).random(2_500_000))
    seen = []
    to_s3(npk, "s3://data/up.npy", progress=lambda *call: seen.append(call), **access)
    size = 128 + 20_000_000
    assert [done for done, _ in seen] == [8 << 20, 16 << 20, size] and {total for _, total in seen} == {size}


def test_a_progress_that_raises_ends_the_upload(npk, access, big):
    def failing(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        to_s3(npk, "s3://data/stopped.npy", progress=failing, **access)
    with pytest.raises(FileNotFoundError):
        from_s3("s3://data/stopped.npy", npk, **access)


def test_an_object_without_bytes(npk, access):
    save(npk, x=np.zeros(0))
    to_s3(npk, "s3://data/empty.csv", **access)
    with pytest.raises(ValueError, match="ends before|cut off|not a .npy"):
        from_s3("s3://data/empty.csv", npk, "npy", **access)


KEYS = [
    "a#1.npy",
    "what?.npy",
    "100%.npy",
    "a%20b.npy",
    "a%2Fb.npy",
    "a b c.npy",
    "a+b.npy",
    "folder #1/x?y=1&z=2.npy",
    "q?/n#.npy",
    "µ/é~*'()!@$,;:=[]{}|^`\\\"<>.npy",
    "..a/b..c.npy",
]


@pytest.fixture
def client(access):
    """Another client of the same server."""
    return boto3.client(
        "s3",
        endpoint_url=access["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=access["access_key_id"],
        aws_secret_access_key=access["secret_access_key"],
    )


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_taken_as_they_are(tmp_path, npk, access, client, key):
    """What another client writes under a key is found under it, and the other way."""
    np.save(tmp_path / "a.npy", np.arange(5))
    client.put_object(Bucket="data", Key=f"in/{key}", Body=(tmp_path / "a.npy").read_bytes())
    from_s3(f"s3://data/in/{key}", npk, **access)
    name = key.rpartition("/")[2][: -len(".npy")]
    assert names(npk) == [name]
    assert_same(load(npk, name), np.arange(5))
    to_s3(npk, f"s3://data/out/{key}", **access)
    listed = [found["Key"] for found in client.list_objects_v2(Bucket="data", Prefix="out/")["Contents"]]
    assert f"out/{key}" in listed
    body = client.get_object(Bucket="data", Key=f"out/{key}")["Body"].read()
    assert body[-40:] == np.arange(5).tobytes()
    from_s3(f"s3://data/out/{key}", npk, array_name="back", **access)
    assert_same(load(npk, "back"), np.arange(5))
    for one in ("in", "out"):
        client.delete_object(Bucket="data", Key=f"{one}/{key}")
    with pytest.raises(FileNotFoundError, match=re.escape(f"s3://data/in/{key}")):
        from_s3(f"s3://data/in/{key}", npk, **access)


@pytest.mark.parametrize("key", ["a//b.npy", "a/./b.npy", "a/../b.npy", "/a.npy", "a.npy/"])
def test_keys_that_a_client_would_change(npk, access, key):
    """The library takes a key for a path: what it would make another key of is refused by name."""
    save(npk, x=np.arange(3))
    for call in (
        lambda: to_s3(npk, f"s3://data/{key}", "npy", **access),
        lambda: from_s3(f"s3://data/{key}", npk, "npy", **access),
    ):
        with pytest.raises(ValueError, match=re.escape(f"s3://data/{key}")):
            call()


def test_damage_is_named_by_its_key(tmp_path, old, access, client):
    (tmp_path / "a.csv").write_text("x,y\n1,z\n")
    for ending in ("csv", "h5", "npy", "parquet", "feather"):
        client.put_object(Bucket="data", Key=f"bad.{ending}", Body=(tmp_path / "a.csv").read_bytes())
        with pytest.raises(ValueError, match=f"^s3://data/bad.{ending}|^object: it is not a .npy") as caught:
            from_s3(f"s3://data/bad.{ending}", old, **access)
        assert "numpack-s3" not in str(caught.value)
    assert names(old) == ["old"]
