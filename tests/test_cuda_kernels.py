"""How kernels are compiled and launched, and that the emulator notices what no kernel may do."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from cuda_emulator import EmulatedCupy, EmulatedDevice, EmulationError, needs_a_compiler, on_device

from tinynn.cuda.kernels import NULL, Kernels, dense, flat, types

pytestmark = needs_a_compiler


def kernels() -> Kernels:
    return Kernels(EmulatedCupy())


def launch(body: str, x: np.ndarray, blocks: int = 1, parameters: str = "T* x, long long n") -> None:
    source = f'extern "C" __global__ void probe({parameters}) {{ {body} }}'
    kernels().launch(source, "using T = double;\n", "probe", blocks, on_device(x), x.size)


def test_a_source_is_compiled_once_for_each_head(monkeypatch: pytest.MonkeyPatch) -> None:
    device, compiled = EmulatedDevice(), []
    module = EmulatedCupy.RawModule

    def count(self: EmulatedCupy, code: str, options: tuple[str, ...]) -> Any:
        assert options == ("--fmad=false",)
        compiled.append(code)
        return module(self, code, options)

    monkeypatch.setattr(EmulatedCupy, "RawModule", count)
    for dtype in ("float32", "float64", "float32"):
        x, y = np.ones(5, dtype), np.empty(5, dtype)
        device.relu(on_device(x), on_device(y))
        device.relu_backward(*map(on_device, (x, x, y)))
    assert len(compiled) == 2
    assert [code.splitlines()[0] for code in compiled] == ["using T = float;", "using T = double;"]


def test_what_nobody_reads_is_not_launched_or_compiled() -> None:
    device, nothing = EmulatedDevice(), np.empty((0, 3))
    device.relu(on_device(nothing), on_device(nothing.copy()))
    assert device.launched == [] and device.kernels._modules == {}


def test_blocks_are_as_many_as_there_is_work_for_but_not_more_than_the_most() -> None:
    for most, size, blocks in ((4096, 257, 2), (2, 5000, 2), (4096, 256, 1)):
        k, x = kernels(), np.zeros(size)
        k.most = most
        body = 'extern "C" __global__ void probe(double* x, long long n) { EACH(i, n) x[i] += gridDim.x; }'
        k.over(body, "", "probe", size, on_device(x), size)
        np.testing.assert_array_equal(x, blocks)


def test_types_by_the_names_that_c_has_for_them() -> None:
    assert types(T=np.float32, I=np.dtype("uint8")) == "using T = float;\nusing I = unsigned char;\n"
    assert types(I="longlong") == types(I="int64") == "using I = long long;\n"
    assert types(T="float16") is None and types(T="complex64", I="int64") is None
    for name in ("bool", "int8", "uint16", "intc", "uintp", "float64"):
        (line,) = str(types(T=name)).splitlines()
        x = np.zeros(1, np.int64)
        source = 'extern "C" __global__ void probe(long long* x) { *x = sizeof(T); }'
        kernels().launch(source, line + "\n", "probe", 1, on_device(x))
        assert x[0] == np.dtype(name).itemsize


def test_arrays_in_one_order_without_gaps() -> None:
    x = np.zeros((3, 4, 5))
    rows = x.transpose(2, 0, 1)
    assert flat(x, x[1:]) and flat(x, x[1:2, 2:3])
    assert not flat(x[:, 2:3]) and not flat(x, x.astype("float32")) and not flat(x.astype(int)) and not flat(rows)
    assert dense(x, x.copy()) and dense(rows, rows.copy(order="K")) and dense(x.T) and dense(rows[:, :1, :1])
    assert dense(np.zeros((4, 5)).T[:, None])  # an axis of one element, whose stride says nothing
    assert not dense(x, rows) and not dense(rows, rows.copy()) and not dense(x[::2]) and not dense(x[:, ::-1])
    assert (
        dense(rows[:, :2])
        and not dense(rows[:2])
        and not dense(rows[:, :, :2])
        and not dense(np.broadcast_to(np.zeros(3), (2, 3)).T)
    )


def test_places_are_counted_in_32_bits_where_they_fit() -> None:
    k, small, large = kernels(), np.empty(3), np.broadcast_to(0.0, 2**30)
    assert k.index(small, small) is np.int32 and k.index(small, large) is np.int64


# --- the emulator itself


@pytest.mark.parametrize("body", ["x[n] = 1;", "x[-1] = 1;", "if (x[n] > 0) x[0] = 1;", "if (x[-1] > 0) x[0] = 1;"])
@pytest.mark.parametrize("size", [1, 512, 700])
def test_outside_the_arrays(body: str, size: int) -> None:
    with pytest.raises(EmulationError, match="outside the arrays"):
        launch(body, np.zeros(size))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("__shared__ double s[256]; s[threadIdx.x] = 1; x[threadIdx.x] = s[(threadIdx.x + 1) % 256];", "order"),
        ("x[0] = threadIdx.x;", "order"),
        ("__shared__ double s[1]; if (threadIdx.x == 0 && blockIdx.x == 0) s[0] = 1; x[threadIdx.x] = s[0];", "order"),
        ("if (threadIdx.x < 7) __syncthreads();", "barrier"),
        ("int m = 2147483647, one = n / 256; x[0] = m + one;", "does not define"),
    ],
)
def test_what_no_kernel_may_do(body: str, what: str) -> None:
    with pytest.raises(EmulationError, match=what):
        launch(body, np.zeros(256), blocks=2)


def test_a_barrier_makes_it_right() -> None:
    x = np.zeros(256)
    launch(
        "__shared__ double s[256]; int i = threadIdx.x; s[i] = i; __syncthreads(); x[i] = s[255 - i];"
        "if (__syncthreads_or(i == 9)) x[i] += 1000; if (__syncthreads_or(0)) x[0] = -1;",
        x,
    )
    np.testing.assert_array_equal(x, 1255 - np.arange(256))


def test_shared_memory_begins_with_nothing_that_would_pass_for_a_result() -> None:
    x = np.zeros(256)
    launch("__shared__ double s[4]; x[threadIdx.x] = s[1];", x)
    assert np.isnan(x).all()


@pytest.mark.parametrize(
    "args",
    [
        (NULL,),
        (NULL, np.int32(3), np.float32(1)),
        (NULL, np.int64(3), np.float64(1)),
        (np.int64(1), np.int64(3), np.float32(1)),
        (NULL, np.float64(3), np.float32(1)),
        (NULL, None, np.float32(1)),
        (NULL, np.int64(3), np.int32(1)),
    ],
)
def test_arguments_that_are_not_those_of_the_kernel(args: tuple[Any, ...]) -> None:
    k = kernels()
    source = 'extern "C" __global__ void probe(const double* at, long long n, float a) {}'
    k.launch(source, "", "probe", 1, NULL, 3, np.float32(1))
    with pytest.raises(EmulationError):
        k.launch(source, "", "probe", 1, *args)


def test_arrays_that_overlap_are_refused() -> None:
    x = np.zeros(9)
    source = 'extern "C" __global__ void probe(double* a, double* b) { if (threadIdx.x == 0) *a = *b + 1; }'
    kernels().launch(source, "", "probe", 1, on_device(x), on_device(x))
    assert x[0] == 1
    with pytest.raises(EmulationError, match="overlap"):
        kernels().launch(source, "", "probe", 1, on_device(x[:5]), on_device(x[4:]))


def test_what_does_not_compile_is_shown() -> None:
    with pytest.raises(EmulationError, match="nonsense"):
        launch("nonsense;", np.zeros(1))


def test_threads_launch_one_after_the_other() -> None:
    device, x = EmulatedDevice(), np.linspace(-1, 1, 400).reshape(2, 200)
    outs = [np.empty_like(x) for _ in range(4)]
    works = [np.empty_like(x) for _ in outs]
    threads = [
        threading.Thread(target=device.softmax, args=tuple(map(on_device, (x, out, work))))
        for out, work in zip(outs, works, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for out in outs:
        np.testing.assert_array_equal(out, outs[0])
    np.testing.assert_allclose(outs[0].sum(axis=1), 1)
