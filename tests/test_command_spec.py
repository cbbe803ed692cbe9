"""Layers as words: specs become layers and specs again, and every mistake is told with its word and what there is."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tinynn import Affine, Conv2D, Dropout, MaxPool2D, ReLU, Reshape, layers
from tinynn.app.layer_spec import LAYERS, LOSSES, OPTIMIZERS, layers_of, made, spec_of, usage
from tinynn.errors import ConfigurationError
from tinynn.init import glorot


def test_a_spec_reads_as_its_layers() -> None:
    found = layers_of("conv:8:3x5:padding=same relu maxpool:2 300:W=glorot dropout:0.2 reshape:1x-1 clip:-1.5:1e3")
    expected = "Conv2D(8, (3, 5), padding='same'), ReLU(), MaxPool2D(2), Affine(300, W=glorot), Dropout(0.2), "
    assert ", ".join(map(repr, found)) == expected + "Reshape((1, -1)), Clip(-1.5, 1000.0)"
    assert found[3]._arguments[1]["W"] is glorot
    assert layers_of("") == layers_of("   ") == []
    assert [type(layer) for layer in layers_of(" ReLU\t10\n")] == [ReLU, Affine]


def test_there_is_a_word_for_every_layer_that_can_stand_in_a_chain() -> None:
    assert len(LAYERS) == len(layers.__all__) - 5
    assert {"affine", "conv", "maxpool", "batchnorm", "leakyrelu"} <= LAYERS.keys()
    assert (LAYERS["conv"], LAYERS["maxpool"]) == (Conv2D, MaxPool2D)
    assert [*OPTIMIZERS] == ["adagrad", "adam", "adamw", "rmsprop", "sgd"]
    assert {"softmaxcrossentropy", "binarycrossentropy", "meansquarederror", "huber"} < LOSSES.keys()
    for kind in LAYERS.values():
        assert usage(kind)


words = st.one_of(
    st.integers(1, 10**6).map(str),
    st.sampled_from(sorted(word for word, kind in LAYERS.items() if ":" not in usage(kind).partition("[")[0])),
    st.builds("dropout:{}".format, st.floats(0, 0.99)),
    st.builds("leakyrelu:{}".format, st.floats(0, 0.9)),
    st.builds("clip:{}:{}".format, st.floats(-9, 0), st.floats(1, 1e300)),
    st.builds("conv:{}:{}x{}:stride={}".format, *[st.integers(1, 9)] * 4),
    st.builds("conv:{}:3:padding={}".format, st.integers(1, 9), st.sampled_from(["same", "1", "0x2"])),
    st.builds("{}:W={}:b={}".format, st.integers(1, 9), *[st.sampled_from(["he", "glorot", "zeros"])] * 2),
    st.builds("reshape:{}x-1".format, st.integers(1, 99)),
    st.builds("permute:{}:{}:{}".format, *[st.integers(0, 2)] * 3),
)


@given(st.lists(words))
def test_a_spec_becomes_layers_and_the_same_spec_again(given_words: list[str]) -> None:
    first = layers_of(" ".join(given_words))
    again = layers_of(spec_of(first))
    assert repr(again) == repr(first)
    assert spec_of(again) == spec_of(first)
    assert len(first) == len(given_words)


@pytest.mark.parametrize(
    ("word", "says", "fix"),
    [
        ("dropuot:0.2", "no layer 'dropuot'", "did you mean dropout?"),
        ("blub", "no layer 'blub'", "one of: affine"),
        ("add", "no layer 'add'", "affine"),
        (":3", "no layer ''", "one of: affine"),
        ("dropout:2", "the rate must be", "dropout[:rate=0.5]"),
        ("0", "must be a positive integer", "affine:M"),
        ("-3", "must be a positive integer", "affine:M"),
        ("conv:8", "missing a required argument: 'kernel_size'", "conv:F:kernel_size[:stride=1]"),
        ("dropout:0.1:0.2", "too many positional", "dropout[:rate=0.5]"),
        ("relu:3", "too many positional", "relu"),
        ("conv:8:3:paddin=1", "unexpected keyword argument 'paddin'", "[:padding=0]"),
        ("conv:8:3:", "without a value", "conv:F"),
        ("conv:8:padding=", "without a value", "conv:F"),
        ("conv:8:kernel_size=3:1", "behind one with a name", "conv:F"),
        ("conv:8:3:padding=1:padding=2", "twice", "conv:F"),
        ("dropout:0.5:rate=0.5", "multiple values", "dropout"),
        ("dropout:nan", "no value 'nan'", "a number"),
        ("9:W=glorto", "no value 'glorto'", "glorot"),
    ],
)
def test_a_mistake_is_told_with_its_word_and_what_there_is(word: str, says: str, fix: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        layers_of(f"relu {word} 10")
    assert says in caught.value.what
    assert f"word 2 of 'relu {word} 10'" in str(caught.value.where)
    assert fix in str(caught.value.fix)


@given(st.text(st.sampled_from("aconv rel:u=x.3-0_,()[]\u0663\u00b2"), max_size=30))
def test_any_text_is_a_spec_or_a_configuration_error(spec: str) -> None:
    try:
        spec_of(layers_of(spec))
    except ConfigurationError as error:
        assert error.fix


def test_losses_and_optimizers_are_made_alike() -> None:
    assert repr(made("sgd:momentum=0.9", OPTIMIZERS, "optimizer", "--optimizer", lr=0.2)) == "SGD(lr=0.2, momentum=0.9)"
    assert repr(made("huber:0.5", LOSSES, "loss", "--loss")) == "Huber(0.5)"
    assert made("sgd:0.1:nesterov=false", OPTIMIZERS, "optimizer", "").nesterov is False
    with pytest.raises(ConfigurationError, match="no loss 'mse'"):
        made("mse", LOSSES, "loss", "--loss")
    with pytest.raises(ConfigurationError, match="multiple values"):
        made("sgd:0.1", OPTIMIZERS, "optimizer", "--optimizer", lr=0.2)
    with pytest.raises(ConfigurationError, match="no layer '8x8'"):
        layers_of("8x8")
    assert spec_of([Reshape((1, 8, 8)), Dropout(rate=0.5)]) == "reshape:1x8x8 dropout:rate=0.5"
    assert spec_of([Conv2D(2, 3, padding="same", groups=1)]) == "conv:2:3:padding=same:groups=1"
    assert usage(type(made("sgd:0.1", OPTIMIZERS, "optimizer", ""))).endswith("[:clip_value=none]")
