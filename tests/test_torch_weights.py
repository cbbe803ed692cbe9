"""Weights to and from PyTorch: against PyTorch itself where it is installed, and against numbers that it left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planted_bugs.custom import Gain
from torch_numbers import FILE, networks

import tinynn.torch
from tinynn import (
    GELU,
    Affine,
    BatchNorm,
    ConfigurationError,
    Conv2D,
    DataError,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    GroupNorm,
    LayerNorm,
    NotBuiltError,
    PReLU,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
)
from tinynn.torch import load_state_dict, state_dict

NETS: dict[str, Callable[[], Any]] = {
    "rows": lambda: Sequential(
        Affine(8), BatchNorm(), PReLU(), LayerNorm(), Dropout(0.5), Sequential(Affine(6), GELU()),
        RMSNorm(eps=1.1920929e-07), Affine(3),
    ),
    "images": lambda: Sequential(
        Conv2D(4, 3, padding=1, stride=2, groups=2), BatchNorm(), ReLU(), GroupNorm(2), PReLU(), Conv2D(3, (2, 1)),
        Flatten(), Affine(3),
    ),
    "words": lambda: Sequential(Embedding(9, 3), Flatten(), Affine(2)),
}  # fmt: skip


def stored(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    with np.load(FILE) as file:
        prefix = f"{name}/state/"
        state = {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}
        return file[f"{name}/x"], file[f"{name}/y"], state


@pytest.mark.parametrize("name", NETS)
def test_the_numbers_that_pytorch_left(name: str) -> None:
    x, y, state = stored(name)
    net = NETS[name]().build(x.shape[1:])
    assert load_state_dict(net, state) is net
    np.testing.assert_allclose(net.predict(x), y, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", NETS)
def test_names_and_layouts_are_pytorchs(name: str) -> None:
    x, _, state = stored(name)
    net = load_state_dict(NETS[name]().build(x.shape[1:]), state)
    back = state_dict(net)
    expected = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert [*back] == [*expected], "in PyTorch's order too"
    for key, value in expected.items():
        if value.shape == back[key].shape:
            np.testing.assert_array_equal(back[key], value, err_msg=key)
        else:
            np.testing.assert_array_equal(back[key], np.repeat(value, len(back[key])), err_msg=key)  # PReLU()
        assert back[key].flags.c_contiguous and back[key].flags.writeable
        assert not np.shares_memory(back[key], net.storage.params)


@pytest.mark.parametrize("name", NETS)
def test_pytorch_itself(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-peers")
    model, x = networks(torch)[name]
    net = load_state_dict(NETS[name]().build(tuple(x.shape[1:])), model.state_dict())
    np.testing.assert_allclose(net.predict(x), model(x).detach().numpy(), rtol=1e-5, atol=2e-6)
    for view in net.storage.parameters.values():
        view[...] *= 1.25
    arrays = {key: torch.from_numpy(value) for key, value in state_dict(net).items()}
    if name == "images":
        model[4] = torch.nn.PReLU(4)
    model.load_state_dict(arrays)  # strict: every name, every shape
    np.testing.assert_allclose(net.predict(x), model(x).detach().numpy(), rtol=1e-5, atol=2e-6)


def test_a_graph_has_the_names_of_its_nodes() -> None:
    net = Graph(fc1=(Affine(4), "x"), block=(Residual(Sequential(Affine(4), ReLU())), "fc1"), out=(Affine(2), "block"))
    assert [*state_dict(net.build((3,)))] == [
        *("fc1.weight", "fc1.bias", "block.layer.0.weight", "block.layer.0.bias", "out.weight", "out.bias"),
    ]


def test_a_layer_of_ones_own_keeps_its_names() -> None:
    net = Sequential(Gain(), Affine(2)).build((3,))
    assert [*state_dict(net)] == ["0.g", "1.weight", "1.bias"]
    load_state_dict(net, state_dict(net) | {"0.g": np.array([1, 2, 3])})
    np.testing.assert_array_equal(net[0].g, [1, 2, 3])


def test_a_dropout_goes_on_where_it_was_and_the_loss_has_no_arrays() -> None:
    net = Sequential(Affine(4), Dropout(0.5), Affine(2), SoftmaxCrossEntropy()).build((3,))
    before = net[1].stream.copy()
    load_state_dict(net, {key: value + 1 for key, value in state_dict(net).items()})
    np.testing.assert_array_equal(net[1].stream, before)
    assert (net[0].b == 1).all()


def test_other_names_in_the_same_order() -> None:
    x, y, state = stored("images")
    names = {"0": "conv1", "1": "bn", "3": "norm", "4": "act", "5": "conv2", "7": "head.fc"}
    other = {f"{names[key.partition('.')[0]]}.{key.partition('.')[2]}": value for key, value in state.items()}
    net = NETS["images"]().build(x.shape[1:])
    with pytest.raises(ShapeError, match=r"'0\.weight' is missing"):
        load_state_dict(net, other)
    load_state_dict(net, other, in_order=True)
    np.testing.assert_allclose(net.predict(x), y, rtol=1e-5, atol=2e-6)
    with pytest.raises(ShapeError, match="other numbers of layers"):
        load_state_dict(net, {key: other[key] for key in other if "head" not in key}, in_order=True)
    with pytest.raises(ShapeError, match="the layers 'bn' and '1' have other parameters"):
        load_state_dict(net, {key: other[key] for key in other if key != "bn.bias"}, in_order=True)


def test_a_network_that_is_one_layer() -> None:
    """nn.Linear alone has the names weight and bias."""
    state = {"weight": np.ones((2, 3)), "bias": np.zeros(2)}
    net = load_state_dict(Sequential(Affine(2)).build((3,)), state, in_order=True)
    np.testing.assert_array_equal(net.predict(np.ones((1, 3))), [[3, 3]])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"0.weight": None}, ShapeError, "'0.weight' is missing"),
        ({"0.bias": None}, ShapeError, r"(?s)'0.bias' is missing.*np.zeros\(\(4,\)\)"),
        ({"9.weight": np.zeros(3)}, ShapeError, "'9.weight' is not expected"),
        ({"0.weight": np.zeros((3, 4))}, ShapeError, r"(?s)'0.weight' has another shape.*\(4, 3\).*\(3, 4\)"),
        ({"0.weight": np.full((4, 3), np.nan)}, DataError, "'0.weight' is not made of finite numbers"),
        ({"0.weight": "text"}, DataError, "'0.weight' is not made of finite numbers"),
        ({"0.weight": [[1, 2], [3]]}, DataError, "'0.weight' is not made of finite numbers"),
        ({"0.weight": np.full((4, 3), 1e300)}, DataError, "0.W"),
    ],
)
def test_what_does_not_fit_changes_nothing(change: dict[str, Any], kind: Any, message: str) -> None:
    net = Sequential(Affine(4), ReLU(), Affine(2)).build((3,))
    before = state_dict(net)
    mapping = {
        key: value for key, value in ({key: before[key] + 1 for key in before} | change).items() if value is not None
    }
    with pytest.raises(kind, match=message):
        load_state_dict(net, mapping)
    for key, value in state_dict(net).items():
        np.testing.assert_array_equal(value, before[key])


class Elsewhere:
    """A tensor that cannot be handed over."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("it was asked for what it cannot give")


def test_a_tensor_on_a_device_is_named() -> None:
    net = Sequential(Affine(2)).build((3,))
    with pytest.raises(TypeError, match=r"'0\.weight': an array that lies on another device"):
        load_state_dict(net, state_dict(net) | {"0.weight": Elsewhere()})


def test_what_is_no_network_or_no_mapping() -> None:
    with pytest.raises(ConfigurationError, match="only networks"):
        state_dict(Affine(3))  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotBuiltError):
        state_dict(Sequential(Affine(3)))
    with pytest.raises(ConfigurationError, match="a mapping"):
        load_state_dict(Sequential(Affine(3)).build((2,)), [1, 2])  # pyright: ignore[reportArgumentType]


def test_nothing_of_pytorch_is_imported() -> None:
    assert "torch" not in vars(tinynn.torch)
