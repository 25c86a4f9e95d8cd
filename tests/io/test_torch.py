"""PyTorch: .pt files, tensors, what is refused, sharing memory. Needs torch, which is large: see docs/conversions.md."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import any_array, assert_same, load, names, sample, save
from io_memory import CHUNK, MB, growth

from numpack import NumPack
from numpack.io import (
    from_dlpack,
    from_pt,
    from_safetensors_file,
    from_tensor,
    from_tensor_dict,
    numpy_to_torch_zero_copy,
    to_dlpack,
    to_pt,
    to_tensor,
    to_tensor_dict,
    torch_to_numpy_zero_copy,
    wrap_for_zero_copy,
)

torch = pytest.importorskip("torch")

HELD = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
if hasattr(torch, "uint32"):
    HELD += ["uint16", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", HELD)
def test_every_dtype(tmp_path, npk, dtype):
    array = sample(dtype, (40, 3))
    torch.save({"x": torch.from_numpy(array)}, tmp_path / "a.pt")
    from_pt(tmp_path / "a.pt", npk, chunk_size=400)
    assert_same(load(npk, "x"), array)
    to_pt(npk, tmp_path / "b.pt")
    assert_same(torch.load(tmp_path / "b.pt", weights_only=True)["x"].numpy(), array)
    assert_same(to_tensor(npk).numpy(), array)


def test_state_dicts(tmp_path, npk):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    from_pt(tmp_path / "model.pt", npk)
    assert names(npk) == sorted(model.state_dict())
    assert_same(load(npk, "1.num_batches_tracked"), np.array(0))
    to_pt(npk, tmp_path / "back.pt")
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    other.load_state_dict(torch.load(tmp_path / "back.pt", weights_only=True))
    for name, tensor in model.state_dict().items():
        assert_same(other.state_dict()[name].numpy(), tensor.numpy())


def test_checkpoints(tmp_path, old):
    content = {"epoch": 3, "model": {"w": torch.ones(2), "deep": {"b": torch.zeros(3)}}, "a/b": torch.ones(1)}
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(TypeError, match="entry 'epoch' holds int"):
        from_pt(tmp_path / "a.pt", old)
    assert names(old) == ["old"]
    from_pt(tmp_path / "a.pt", old, key="model", drop_if_exists=True)
    assert names(old) == ["deep/b", "w"]
    from_pt(tmp_path / "a.pt", old, key="model/deep/b", drop_if_exists=True)
    assert names(old) == ["b"]
    from_pt(tmp_path / "a.pt", old, key="a/b", array_name="c")
    assert names(old) == ["b", "c"]
    from_pt(tmp_path / "a.pt", old, array_names=["model/w", "a/b"], drop_if_exists=True)
    assert names(old) == ["a/b", "model/w"]
    for wrong in ({"key": "none"}, {"key": "model/none"}, {"array_names": ["none"]}):
        with pytest.raises(KeyError, match="none"):
            from_pt(tmp_path / "a.pt", old, **wrong)


def test_tensors_alone(tmp_path, npk):
    torch.save(torch.arange(6).reshape(2, 3).t(), tmp_path / "a.pt")
    from_pt(tmp_path / "a.pt", npk)
    assert_same(load(npk, "a"), np.arange(6).reshape(2, 3).T)
    to_pt(npk, tmp_path / "b.pt", as_dict=False)
    assert_same(torch.load(tmp_path / "b.pt", weights_only=True).numpy(), np.arange(6).reshape(2, 3).T)
    save(npk, other=np.zeros(2))
    with pytest.raises(ValueError, match="there are 2"):
        to_pt(npk, tmp_path / "b.pt", as_dict=False)
    with pytest.raises(ValueError, match="name one of 'a', 'other'"):
        to_tensor(npk)
    assert to_tensor(npk, "other", device="cpu", dtype=torch.float32).dtype == torch.float32


def test_files_of_old_programs(tmp_path, npk):
    torch.save({"x": torch.arange(4)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    from_pt(tmp_path / "a.pt", npk)
    assert_same(load(npk, "x"), np.arange(4))


class Code:
    """Something whose pickle would run code."""

    def __reduce__(self):
        return (open, ("ran", "w"))


def test_no_code_runs(tmp_path, npk, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": torch.ones(1), "y": Code()}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="weights only"):
        from_pt(tmp_path / "a.pt", npk)
    (tmp_path / "b.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match="weights only"):
        from_pt(tmp_path / "b.pt", npk)
    assert not npk.exists() and not (tmp_path / "ran").exists()


def test_bfloat16(tmp_path, npk):
    tensor = torch.tensor([[1.0, -2.5], [float("nan"), 3e38]], dtype=torch.bfloat16)
    torch.save({"w": tensor}, tmp_path / "a.pt")
    with pytest.raises(TypeError, match="tensor 'w' is bfloat16"):
        from_pt(tmp_path / "a.pt", npk)
    with pytest.raises(TypeError, match="tensor 'data' is bfloat16"):
        from_tensor(tensor, npk)
    assert not npk.exists()
    from_pt(tmp_path / "a.pt", npk, bfloat16="float32", chunk_size=4)
    assert_same(load(npk, "w"), tensor.float().numpy())
    from_tensor(tensor, npk, bfloat16="uint16")
    assert_same(load(npk, "data"), tensor.view(torch.int16).numpy().view("u2"))


def test_bfloat16_of_safetensors(tmp_path, npk):
    save_file = pytest.importorskip("safetensors.torch").save_file
    tensor = torch.tensor([1.0, -2.5], dtype=torch.bfloat16)
    save_file({"w": tensor}, tmp_path / "a.safetensors")
    with pytest.raises(TypeError, match="tensor 'w' is bfloat16"):
        from_safetensors_file(tmp_path / "a.safetensors", npk)
    from_safetensors_file(tmp_path / "a.safetensors", npk, bfloat16="float32")
    assert_same(load(npk, "w"), np.array([1.0, -2.5], "f4"))


@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_arrays(npk):
    sparse = torch.eye(3).to_sparse()
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    for tensor in (sparse, quantized):
        with pytest.raises(TypeError, match="sparse or quantized"):
            from_tensor(tensor, npk)
    assert not npk.exists()


def test_tensors_with_a_history(npk):
    tensor = torch.arange(3.0, requires_grad=True) * 2
    store = from_tensor(tensor, npk, array_name="x", return_npk_obj=True)
    assert_same(store.load("x"), np.array([0, 2, 4], "f4"))
    store.close()
    from_tensor(torch.tensor([1 + 2j]).conj(), npk, "conj")
    assert_same(load(npk, "conj"), np.array([1 - 2j], "c8"))
    from_tensor(np.arange(3), npk, "plain")
    assert_same(load(npk, "plain"), np.arange(3))


def test_tensors_are_of_their_own_memory(npk):
    save(npk, x=np.arange(3))
    to_tensor(npk)[0] = 9
    assert_same(load(npk, "x"), np.arange(3))


def test_deleted_rows(tmp_path, npk):
    save(npk, x=np.arange(5))
    with NumPack(npk) as store:
        store.drop("x", [1, 2])
    to_pt(npk, tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt", weights_only=True)["x"].tolist() == [0, 3, 4]


def test_what_this_torch_does_not_have(tmp_path, npk):
    if hasattr(torch, "uint32"):
        pytest.skip("this PyTorch has all integers")
    save(npk, x=np.zeros(2, "u4"))
    with pytest.raises(TypeError, match="array 'x': this PyTorch has no uint32"):
        to_pt(npk, tmp_path / "a.pt")
    with pytest.raises(TypeError, match="no uint32"):
        to_tensor(npk)
    assert not (tmp_path / "a.pt").exists()


def test_dicts(npk):
    tensors = {"a": torch.arange(3), "b": torch.ones(2, 2)}
    from_tensor_dict(tensors, npk)
    back = to_tensor_dict(npk, framework="torch")
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


def test_the_seed_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tensor = torch.arange(6.0).reshape(2, 3)
    from_tensor(tensor, "output.npk", array_name="embeddings")
    from_tensor(tensor, "input.npk", array_name="embeddings")
    assert torch.equal(to_tensor("input.npk", array_name="embeddings"), tensor)
    torch.save({"embeddings": tensor}, "model.pt")
    from_pt("model.pt", "output.npk")
    to_pt("input.npk", "output.pt")
    assert torch.equal(torch.load("output.pt", weights_only=True)["embeddings"], tensor)


def test_memory_is_shared():
    array = np.arange(6.0)
    tensor = numpy_to_torch_zero_copy(array)
    tensor[0] = 7
    assert array[0] == 7
    assert np.shares_memory(torch_to_numpy_zero_copy(tensor), array)
    assert np.shares_memory(from_dlpack(tensor), array)
    assert torch.from_dlpack(to_dlpack(array)).data_ptr() == tensor.data_ptr()
    assert wrap_for_zero_copy(tensor).to_torch().data_ptr() == tensor.data_ptr()
    array.setflags(write=False)
    for _ in range(2):
        with pytest.warns(UserWarning, match="the array is read-only, which PyTorch cannot respect") as told:
            tensor = numpy_to_torch_zero_copy(array)
        assert len(told) == 1 and np.shares_memory(tensor.numpy(), array)
    for strided in (np.arange(6)[::-1], np.arange(6).reshape(2, 3)[:, ::-1]):
        with pytest.warns(UserWarning, match="not C-contiguous: a copy"):
            assert numpy_to_torch_zero_copy(strided).tolist() == strided.tolist()
    with pytest.raises(ValueError, match="conjugate"):
        torch_to_numpy_zero_copy(torch.tensor([1j]).conj())


def test_writing_to_a_tensor_of_a_lazy_array(npk):
    save(npk, x=np.arange(6.0))
    with NumPack(npk) as store:
        lazy = store.load("x", lazy=True)
        for tensor in (numpy_to_torch_zero_copy(lazy), wrap_for_zero_copy(lazy).to_torch()):
            assert tensor.tolist() == list(range(6))
            tensor[0] = 9
            assert lazy[0] == 0 and store.load("x")[0] == 0
        mapped = store.load("x", mmap_mode="r")
        with pytest.warns(UserWarning, match="read-only"):
            assert numpy_to_torch_zero_copy(mapped).tolist() == list(range(6))


def test_memory_stays_bounded(tmp_path):
    save(tmp_path / "large.npk", x=np.ones((600_000, 64)))
    save(tmp_path / "small.npk", x=np.ones((10, 64)))
    out, _ = growth(
        "to_pt", tmp_path / "large.npk", tmp_path / "x.pt", tmp_path / "small.npk", chunk_size=None
    )
    into, _ = growth("from_pt", tmp_path / "x.pt", tmp_path / "back.npk", tmp_path / "warm-x.pt")
    old_torch = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 1)
    assert max(out, 0 if old_torch else into) < CHUNK + 100 * MB
    assert_same(load(tmp_path / "back.npk", "x"), np.ones((600_000, 64)))


@given(array=any_array(HELD), chunk=st.integers(1, 300))
def test_round_trip(tmp_path_factory, array, chunk):
    folder = tmp_path_factory.mktemp("torch")
    save(folder / "a.npk", x=array)
    to_pt(folder / "a.npk", folder / "x.pt")
    from_pt(folder / "x.pt", folder / "b.npk", chunk_size=chunk)
    assert_same(load(folder / "b.npk", "x"), array)
