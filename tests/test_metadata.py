"""What belongs to a network and is no array, such as the names of the classes, goes into its file and comes back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving_helpers import model, refused

import tinynn
from tinynn import SGD, Affine, ConfigurationError, Sequential, SoftmaxCrossEntropy, fit

NAMES = {"classes": ["setosa", "versicolor", "Ünïcode"], "deep": {"a": [1, 2.5, True, None]}}


def network(metadata: Any = None) -> Sequential:
    net = Sequential(Affine(3), SoftmaxCrossEntropy()).build((2,), seed=1)
    if metadata is not None:
        net.metadata = metadata
    return net


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_metadata_come_back(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net.{ending}"
    network(NAMES).save(path)
    assert tinynn.load(path).metadata == NAMES
    assert copy.deepcopy(network(NAMES)).metadata == NAMES
    network().save(path)
    assert tinynn.load(path).metadata == {}
    assert network().load(path).metadata == {}


def test_without_metadata_a_file_is_what_it_was_before_there_were_any(tmp_path: Path) -> None:
    network().save(tmp_path / "net.npz")
    assert b'"metadata"' not in (tmp_path / "net.npz").read_bytes()


def test_a_checkpoint_holds_them_as_well(tmp_path: Path) -> None:
    net = network(NAMES)
    data = np.ones((4, 2), np.float32), np.arange(4) % 3
    fit(net, SGD(0.1), data, epochs=1, progress=False, checkpoint=tmp_path)
    (path,) = tmp_path.glob("step-*.npz")
    assert tinynn.load(path).metadata == NAMES


def test_what_belongs_to_one_network_does_not_belong_to_all() -> None:
    network(NAMES)
    assert network().metadata == {}
    with pytest.raises(TypeError):
        network().metadata["classes"] = ["a"]  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    "metadata", [{"a": np.nan}, {"a": (1, 2)}, {1: "a"}, {"a": np.ones(2)}, {"a": {"b": object()}}, [1], "text", 3]
)
def test_what_would_not_come_back_as_it_is_is_refused(metadata: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="metadata"):
        network(metadata).save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("metadata", [[], [1], "text", None, 3])
def test_metadata_of_a_file_that_are_no_object_are_refused(metadata: Any, tmp_path: Path) -> None:
    path = model(tmp_path / "net.npz", metadata=metadata)
    refused(lambda: tinynn.load(path), path)
