"""Share a package: a store becomes one compressed file with checksums, and a store again elsewhere.

The same program in Rust: share_a_package.rs.
"""

import tempfile
from pathlib import Path

import numpy as np

import numpack


def main() -> None:
    """Packs a store, looks into the package, and unpacks it; damage on the way does not go unnoticed."""
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder) / "data.npk", Path(folder) / "elsewhere"
        readings = np.cumsum(np.random.default_rng(3).integers(-5, 6, (100_000, 4)), axis=0)
        with numpack.NumPack(here) as npk:
            npk.save({"readings": readings, "station": np.array([47.4, 8.5])})

        package = numpack.pack(here)
        info = numpack.get_package_info(package)
        print(f"{package.name}: {info['file_count']} arrays, {info['compression_ratio']:.2f} of their size")

        copy = numpack.unpack(package, there / "data.npk")
        with numpack.NumPack(copy, mode="r") as npk:
            assert np.array_equal(npk.load("readings"), readings)
            print("unpacked:", npk.get_member_list())

        damaged = bytearray(package.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        package.write_bytes(damaged)
        try:
            numpack.unpack(package, there / "damaged.npk")
        except numpack.CorruptedError as error:
            print("one flipped bit is found:", type(error).__name__)
        else:
            raise AssertionError("damage went unnoticed")
        assert not (there / "damaged.npk").exists()


if __name__ == "__main__":
    main()
