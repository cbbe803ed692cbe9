"""ONNX files that are damaged, cut short, or made to do harm: each is a DataError with the path, at no great cost."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinynn import (
    Affine,
    BatchNorm,
    Conv2D,
    DataError,
    Flatten,
    Graph,
    MaxPool2D,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    TinynnError,
)
from tinynn.layers import Add, Dropout, LayerNorm
from tinynn.onnx import export, import_

MUTATIONS = 2000
PARTS = 4
MEMORY = 64 * 2**20  # bytes beyond what the file holds


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    net = Sequential(Conv2D(2, 3), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(), Affine(3), SoftmaxCrossEntropy())
    path = tmp_path_factory.mktemp("images") / "net.onnx"
    return export(net.build((1, 6, 6)), path).read_bytes()


def base(data: bytes) -> Any:
    model = onnx.ModelProto()
    model.ParseFromString(data)
    return model


def refused(path: Path, data: bytes, *shapes: Any) -> str:
    """The error for a file with these bytes, which says where it lies."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            import_(path, *shapes)
        assert tracemalloc.get_traced_memory()[1] < MEMORY + 8 * len(data)
    finally:
        tracemalloc.stop()
    assert caught.value.path == str(path)
    assert caught.value.fix
    assert len(str(caught.value)) < 3000
    return str(caught.value)


# --- files made to do harm: each is named for what it does, and changes a model that is right

Change = Callable[[Any], Any]
PLANTED: dict[str, tuple[Change, str]] = {}


def planted(expected: str) -> Callable[[Change], Change]:
    def register(change: Change) -> Change:
        PLANTED[change.__name__] = change, expected
        return change

    return register


def array(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def node(model: Any, operator: str) -> Any:
    return next(step for step in model.graph.node if step.op_type == operator)


def attribute(step: Any, name: str) -> Any:
    return next(entry for entry in step.attribute if entry.name == name)


def append(model: Any, operator: str, *names: str, **attributes: Any) -> None:
    """A node behind the output, which becomes its input."""
    (output,) = model.graph.output
    model.graph.node.append(helper.make_node(operator, [output.name, *names], ["last"], **attributes))
    output.name = "last"


@planted("no ONNX file")
def no_graph(model: Any) -> None:
    model.ClearField("graph")


@planted("no ONNX file")
def no_opset(model: Any) -> None:
    del model.opset_import[:]


@planted("opset")
def opset_99(model: Any) -> None:
    model.opset_import[0].version = 99


@planted("opset")
def opset_1(model: Any) -> None:
    model.opset_import[0].version = 1


@planted("opset")
def two_opsets(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 18))


@planted("no layer covers")
def unknown_operator(model: Any) -> None:
    append(model, "Wurlitzer")


@planted("no layer covers")
def operator_of_another_domain(model: Any) -> None:
    node(model, "Relu").domain = "com.example"


@planted("function")
def function_that_calls_itself(model: Any) -> None:
    step = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [step], [helper.make_opsetid("", 17)]))


@planted("only a program")
def loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    append(model, "Loop", body=body)


@planted("no node above it gives")
def cycle(model: Any) -> None:
    node(model, "Relu").input[0] = model.graph.output[0].name


@planted("no node above it gives")
def node_that_reads_itself(model: Any) -> None:
    step = node(model, "Relu")
    step.input[0] = step.output[0]


@planted("no node above it gives")
def missing_initialiser(model: Any) -> None:
    array(model, "0.W").name = "elsewhere"


@planted("given twice")
def one_name_twice(model: Any) -> None:
    model.graph.node[-1].output[0] = model.graph.node[0].output[0]


@planted("two arrays of one name")
def one_array_twice(model: Any) -> None:
    model.graph.initializer.append(array(model, "0.W"))


@planted("an output that no node gives")
def output_of_nothing(model: Any) -> None:
    model.graph.output[0].name = "nothing"


@planted("without outputs")
def no_outputs(model: Any) -> None:
    del model.graph.output[:]


@planted("without a shape")
def input_without_shape(model: Any) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


@planted("without a shape")
def input_that_is_a_sequence(model: Any) -> None:
    value = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1])
    model.graph.input[0].CopyFrom(value)


@planted("impossible shape")
def input_of_no_axes(model: Any) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[:]


@planted("impossible shape")
def input_larger_than_any_memory(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 2**62


@planted("larger than a file may ask for")
def images_of_a_million_rows(model: Any) -> None:
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_value = dims[3].dim_value = 2**20


@planted("how large its input is")
def input_of_unknown_size(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"


@planted("not made of numbers")
def input_of_texts(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


@planted("not as long as its shape says")
def array_of_huge_shape(model: Any) -> None:
    array(model, "0.W").dims[:] = [2**40, 2**20]


@planted("impossible shape")
def array_of_negative_shape(model: Any) -> None:
    array(model, "0.W").dims[0] = -1


@planted("impossible shape")
def array_of_a_thousand_axes(model: Any) -> None:
    array(model, "0.W").dims[:] = [1] * 1000


@planted("not as long as its shape says")
def array_cut_short(model: Any) -> None:
    tensor = array(model, "0.W")
    tensor.raw_data = tensor.raw_data[:-3]


@planted("type that is not read")
def array_of_texts(model: Any) -> None:
    array(model, "0.W").data_type = TensorProto.STRING


@planted("type that is not read")
def array_of_complex_numbers(model: Any) -> None:
    array(model, "0.W").data_type = TensorProto.COMPLEX64


@planted("type that is not read")
def array_of_no_type(model: Any) -> None:
    array(model, "0.W").data_type = 1234


@planted("cannot be read")
def array_in_the_wrong_field(model: Any) -> None:
    tensor = array(model, "0.b")
    tensor.ClearField("raw_data")
    tensor.int32_data[:] = [1] * 2


@planted("not finite")
def array_with_nan(model: Any) -> None:
    W = numpy_helper.to_array(array(model, "0.W")).copy()
    W[0, 0, 0, 0] = np.nan
    array(model, "0.W").CopyFrom(numpy_helper.from_array(W, "0.W"))


@planted("variance below 0")
def variance_below_0(model: Any) -> None:
    array(model, "1.var").CopyFrom(numpy_helper.from_array(np.array([1, -1], np.float32), "1.var"))


@planted("does not fit")
def arrays_that_do_not_fit(model: Any) -> None:
    array(model, "1.gamma").CopyFrom(numpy_helper.from_array(np.ones(3, np.float32), "1.gamma"))


@planted("rows")
def matrix_that_does_not_fit(model: Any) -> None:
    array(model, "5.W").CopyFrom(numpy_helper.from_array(np.ones((9, 3), np.float32), "5.W"))


@planted("of another type")
def attribute_of_the_wrong_type(model: Any) -> None:
    step = node(model, "MaxPool")
    attribute(step, "kernel_shape").CopyFrom(helper.make_attribute("kernel_shape", "two"))


@planted("of another type")
def attribute_that_is_not_finite(model: Any) -> None:
    attribute(node(model, "BatchNormalization"), "epsilon").f = float("nan")


@planted("attribute")
def attribute_that_is_not_known(model: Any) -> None:
    node(model, "Relu").attribute.append(helper.make_attribute("turbo", 1))


@planted("such a window")
def window_of_0(model: Any) -> None:
    attribute(node(model, "MaxPool"), "kernel_shape").ints[:] = [0, 0]


@planted("such a window")
def stride_of_0(model: Any) -> None:
    attribute(node(model, "MaxPool"), "strides").ints[:] = [0, 1]


@planted("larger than")
def padding_of_a_billion(model: Any) -> None:
    attribute(node(model, "Conv"), "pads").ints[:] = [2**40] * 4


@planted("by these factors")
def upsampling_a_million_times(model: Any) -> None:
    step = node(model, "MaxPool")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 1e6, 1e6], np.float32), "scales"))
    del step.attribute[:]
    step.op_type = "Resize"
    step.input[:] = [step.input[0], "", "scales"]


@planted("across the batch")
def reshape_of_the_batch(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([3, 3], np.int64), "shape"))
    append(model, "Reshape", "shape")


@planted("across the batch")
def reshape_to_nothing(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -7], np.int64), "shape"))
    append(model, "Reshape", "shape")


@planted("too many copies")
def one_large_array_read_by_all(model: Any) -> None:
    D = 256
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((D, D), np.float32), "large"))
    graph = model.graph
    graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", D]))
    del graph.node[:]
    for i in range(100):
        graph.node.append(helper.make_node("MatMul", [f"v{i - 1}" if i else "x", "large"], [f"v{i}"]))
    graph.output[0].name = "v99"


@planted("too many nodes")
def five_thousand_nodes(model: Any) -> None:
    for i in range(5000):
        model.graph.node.append(helper.make_node("Relu", ["x"], [f"v{i}"]))


@planted("200,000 parts")
def a_million_empty_nodes(model: Any) -> bytes:
    graph = model.graph.SerializeToString() + b"\x0a\x00" * 1_000_000
    model.ClearField("graph")
    return model.SerializeToString() + b"\x3a" + varint(len(graph)) + graph


@planted("messages within messages")
def messages_within_messages(model: Any) -> bytes:
    inner = b""
    for _ in range(300):  # a graph with a node with an attribute with a graph ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            inner = tag + varint(len(inner)) + inner
    model.ClearField("graph")
    return model.SerializeToString() + b"\x3a" + varint(len(inner)) + inner


@planted("sparse")
def sparse_array(model: Any) -> None:
    values, places = (
        numpy_helper.from_array(np.ones(1, np.float32), "s"),
        numpy_helper.from_array(np.array([0], np.int64)),
    )
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**40]))


@planted("an output besides the first")
def mask_of_a_dropout(model: Any) -> None:
    (output,) = model.graph.output
    model.graph.node.append(helper.make_node("Dropout", [output.name], ["last", "mask"]))
    output.name = "mask"


@planted("no list of whole numbers")
def shape_of_floats(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 3], np.float32), "shape"))
    append(model, "Reshape", "shape")


@planted("is no array of numbers")
def constant_of_texts(model: Any) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value_string="text"))


@planted("is no array of numbers")
def constant_of_two_values(model: Any) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value_float=1.0, value_ints=[2]))


@planted("is no array of numbers")
def constant_of_another_type(model: Any) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value_int=1.5))


@planted("larger than a file may ask for")
def means_over_more_pixels_than_can_be_counted(model: Any) -> None:
    """Nothing may be computed for each place before the arrays of the file are as large as that."""
    graph, held = model.graph, {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "f": np.ones((1, 1, 3, 3), np.float32)}
    shape = [1, 2**20, 2**20]
    graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape]))
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in held.items())
    del graph.node[:]
    graph.node.append(helper.make_node("Pad", ["x", "p"], ["q"]))
    graph.node.append(helper.make_node("AveragePool", ["q"], ["a"], kernel_shape=[2, 2]))
    graph.node.append(helper.make_node("Mul", ["a", "f"], ["y"]))
    graph.output[0].name = "y"


@planted("transpose of axes")
def transpose_of_other_axes(model: Any) -> None:
    model.graph.node.insert(0, helper.make_node("Transpose", ["5.W"], ["c"], perm=[5, 1]))


@planted("codec can't decode")
def name_that_is_no_text(model: Any) -> bytes:
    return model.SerializeToString().replace(b"0.W", b"\xff.W")


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name: str, images: bytes, tmp_path: Path) -> None:
    change, expected = PLANTED[name]
    model = base(images)
    data = change(model)
    assert expected in refused(tmp_path / "planted.onnx", data if data is not None else model.SerializeToString())


def test_at_least_thirty_are_planted() -> None:
    assert len(PLANTED) >= 30


def test_the_model_itself_is_read(images: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(images)
    assert import_(path).predict(np.zeros((2, 1, 6, 6))).shape == (2, 3)


# --- external data


def external(model: Any, **said: str) -> None:
    tensor = array(model, "0.W")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in said.items():
        tensor.external_data.add(key=key, value=value)


def test_arrays_beside_the_model_are_read(images: bytes, tmp_path: Path) -> None:
    model, path = base(images), tmp_path / "net.onnx"
    raw = array(model, "0.W").raw_data
    (tmp_path / "weights.bin").write_bytes(b"before" + raw + b"behind")
    external(model, location="weights.bin", offset="6", length=str(len(raw)))
    path.write_bytes(model.SerializeToString())
    there: Any = import_(path)
    path.write_bytes(images)
    whole: Any = import_(path)
    np.testing.assert_array_equal(there[0].W, whole[0].W)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("../secret.bin", "outside"),
        ("below/../../secret.bin", "outside"),
        ("/etc/passwd", "outside"),
        ("..\\secret.bin", "outside"),
        ("link.bin", "outside"),
        ("linked/secret.bin", "outside"),
        ("", "outside"),
        ("a\0b", "outside"),
        (".", "outside"),
        ("missing.bin", "cannot read"),
    ],
)
def test_external_data_outside_the_folder(location: str, expected: str, images: bytes, tmp_path: Path) -> None:
    folder, model = tmp_path / "models", base(images)
    (folder / "below").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(bytes(72))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "linked").symlink_to(tmp_path)
    external(model, location=location)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=expected):
        import_(path)


@pytest.mark.parametrize(
    "said", [{"offset": "100"}, {"offset": "-1"}, {"length": str(2**60)}, {"length": "-5"}, {"offset": "x"}]
)
def test_external_data_that_is_not_there(said: dict[str, str], images: bytes, tmp_path: Path) -> None:
    model = base(images)
    (tmp_path / "weights.bin").write_bytes(bytes(72))
    external(model, location="weights.bin", **said)
    assert "external data that is not there" in refused(tmp_path / "net.onnx", model.SerializeToString())


def test_a_small_file_of_external_data_cannot_be_read_without_end(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 64))
    graph = helper.make_graph([], "g", [helper.make_tensor_value_info("x", 1, ["N", 8])], [])
    for i in range(6):
        tensor = graph.initializer.add(name=f"W{i}", data_type=1, dims=[8, 8], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="weights.bin")
        graph.node.append(helper.make_node("MatMul", [f"v{i - 1}" if i else "x", f"W{i}"], [f"v{i}"]))
    graph.output.add(name="v5")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert "external data that is not there" in refused(tmp_path / "net.onnx", model.SerializeToString())


# --- files that are no files, and files cut anywhere


@pytest.mark.parametrize("data", [b"", b"\x00", b"PK\x03\x04", b"\xff" * 1000, b"\x08" + b"\xff" * 30, b"{}" * 100])
def test_other_files(data: bytes, tmp_path: Path) -> None:
    assert "no ONNX file" in refused(tmp_path / "other.onnx", data)


def test_what_is_missing_or_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.onnx", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="cannot read"):
            import_(path)


def test_a_file_larger_than_the_format_allows(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # a hole, which takes no room
    with pytest.raises(DataError, match="larger than an ONNX file"):
        import_(path)


def test_cut_anywhere(images: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    for end in range(0, len(images), 37):
        attempt(path, images[:end])


def attempt(path: Path, data: bytes) -> bool:
    """Whether the file is read; then it is a network that predicts, or says what is wrong with its numbers."""
    path.write_bytes(data)
    try:
        net = import_(path)
    except DataError as error:
        assert error.path == str(path), error
        return False
    if all(np.prod(shape) < 10_000 for shape in net.input_shapes):
        xs = [np.zeros((2, *shape), np.int64 if net.reads_integers(name) else np.float32)
              for name, shape in zip(net.input_names, net.input_shapes, strict=True)]  # fmt: skip
        try:
            ys = net.predict(*xs)
        except TinynnError:
            return True
        assert all(len(y) == 2 for y in (ys if isinstance(ys, tuple) else (ys,)))
    return True


@pytest.fixture(scope="module")
def bases(images: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("bases")
    graph = Graph(
        h=(Sequential(Affine(4), LayerNorm(), Dropout(0.5)), "x"), k=(Affine(4), "z"), s=(Add(), "h", "k"),
        y=(SoftmaxCrossEntropy(), "s", "t"),
    ).build((3,), (2,))  # fmt: skip
    return [images, export(graph, folder / "graph.onnx").read_bytes()]


@pytest.mark.parametrize("part", range(PARTS))
def test_random_mutations(part: int, bases: list[bytes], tmp_path: Path) -> None:
    read = 0
    for seed in range(part * MUTATIONS // PARTS, (part + 1) * MUTATIONS // PARTS):
        read += attempt(tmp_path / "mutated.onnx", mutated(bases[seed % len(bases)], random.Random(seed)))
    assert 0 < read < MUTATIONS // PARTS  # some change a number or a name, most break the file


def mutated(data: bytes, r: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(r.choice([1, 1, 1, 2, 8])):
        at = r.randrange(len(out))
        kind = r.randrange(6)
        if kind == 0:
            out[at] ^= 1 << r.randrange(8)
        elif kind == 1:
            out[at] = r.choice([0, 1, 127, 128, 255, r.randrange(256)])
        elif kind == 2:
            del out[at : at + r.choice([1, 2, 50])]
        elif kind == 3:
            out[at:at] = r.randbytes(r.choice([1, 2, 20]))
        elif kind == 4:
            start = r.randrange(len(out))
            out[at:at] = out[start : start + r.choice([4, 40, 400])]
        else:
            out[at:at] = varint(r.choice([2**31, 2**32 - 1, 2**63, 2**64 - 1]))
        if not out:
            break
    return bytes(out)


def rewired(data: bytes, r: random.Random) -> bytes:
    """Nodes that read other values, more or fewer of them, or are another operator."""
    model = base(data)
    graph = model.graph
    values = ["", *(value.name for value in (*graph.input, *graph.initializer))]
    values += [name for step in graph.node for name in step.output]
    operators = [step.op_type for step in graph.node] + ["Relu", "Add", "Concat", "Resize", "Gather"]
    for _ in range(r.choice([1, 1, 2, 3])):
        step = r.choice(graph.node)
        reads = list(step.input)
        kind = r.randrange(5)
        if kind == 0:
            step.op_type = r.choice(operators)
        elif kind == 1:
            reads.append(r.choice(values))
        elif kind == 2 and reads:
            del reads[r.randrange(len(reads))]
        elif reads:
            reads[r.randrange(len(reads))] = r.choice(values)
        step.input[:] = reads
    return model.SerializeToString()


def test_graphs_put_together_otherwise(bases: list[bytes], tmp_path: Path) -> None:
    shaped = base(bases[0])
    (output,) = shaped.graph.output
    steps: Any = (("Shape", ["s"], {}), ("Identity", ["i"], {}), ("Concat", ["c"], {"axis": 0}))
    reads = [output.name]
    for operator, gives, attributes in steps:
        shaped.graph.node.append(helper.make_node(operator, reads, gives, **attributes))
        reads = gives
    append(shaped, "Reshape", "c")
    models = [*bases, shaped.SerializeToString()]
    read = sum(
        attempt(tmp_path / "rewired.onnx", rewired(models[seed % len(models)], random.Random(seed)))
        for seed in range(MUTATIONS)
    )
    assert 0 < read < MUTATIONS
