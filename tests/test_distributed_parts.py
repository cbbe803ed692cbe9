"""What several ranks do when something is not as it should be, and the parts of `tinynn.distributed` one by one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed_checks import CHECKS, MISMATCHES, T, X, network
from mpi_helpers import finished, needs_mpiexec, opened

from tinynn import SGD, ConfigurationError, DeviceError, MissingExtraError, StateError, fit
from tinynn.backend import NumpyOps
from tinynn.distributed import Ranks, use_gpu
from tinynn.distributed import ranks as ranks_module
from tinynn.distributed.gpus import Nccl
from tinynn.distributed.ranks import mpi
from tinynn.distributed.wire import Host, Staged, wire_of
from tinynn.testing import FakeDevice

CLOSE = 1e-13


@pytest.fixture(scope="module", params=[2, 3])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """By check, what came of it on each rank: one job makes all of them."""
    program = Path(__file__).with_name("distributed_checks.py")
    folder = tmp_path_factory.mktemp("checks")
    done = finished(opened(request.param, "-W", "error", program, folder))
    assert done.returncode == 0, done.stderr
    answers = {answer["check"]: answer["ranks"] for answer in map(json.loads, done.stdout.splitlines())}
    assert len(answers) == len(CHECKS) + len(MISMATCHES)
    assert {len(answer) for answer in answers.values()} == {request.param}
    return answers


def is_error(answer: Any, kind: str, *words: str) -> bool:
    return answer["error"] == kind and all(word in answer["text"] for word in words)


def all_alike(answers: list[Any]) -> Any:
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def as_one(answers: list[Any]) -> None:
    """The same bits on all ranks, and but for rounding what one process comes to."""
    runs = all_alike(answers)
    for one in runs if isinstance(runs, list) else [runs]:
        assert one["params"] < CLOSE and one["loss"] < CLOSE and one["accuracy"] == 0


# --- at the start


WHAT_DIFFERS = {
    "shapes": ("layers", "[0] Affine(5)", "[0] Affine(4)"),
    "layers": ("layers", "[1] ReLU()", "[1] Tanh()"),
    "optimizer's kind": ("optimizer", "SGD(lr=0.1)", "Adam(lr=0.1)"),
    "optimizer": ("optimizer", "SGD(lr=0.1)", "SGD(lr=0.1, momentum=0.5)"),
    "one element": ("data", "[0] float64[41, 6] ", "[0] float64[41, 6] "),
    "dtype of the data": ("data", "[1] int64[41] ", "[1] int16[41] "),
    "rows": ("data", "[0] float64[41, 6] ", "[0] float64[40, 6] "),
    "weights": ("data", "2 of them", "[2] float64[41] "),
    "validation": ("validation", "0 of them", "[0] float64[41, 6] "),
    "source": ("data", "[0] float64[41, 6] ", "[0] 41 rows"),
    "dtype": ("dtype", "float64", "float32"),
    "backend": ("backend", "numpy", "fake"),
    "seed of the network": ("seed of the network", "0", "1"),
    "seed": ("seed", "0", "1"),
    "batch_size": ("batch_size", "12", "13"),
    "epochs": ("epochs", "1", "2"),
    "finite": ("finite", "epoch", "step"),
    "order": ("order", "False", "True"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_what_one_rank_has_otherwise_is_named_on_all_of_them(found: dict[str, list[Any]], name: str) -> None:
    answers = found[f"start: {name}"]
    what, first, last = WHAT_DIFFERS[name]
    for rank, answer in enumerate(answers):
        words = f"the ranks are not alike: {what}\n", f"rank {rank} of {len(answers)}", f"on rank 0: {first}"
        assert is_error(answer, "ConfigurationError", *words, f"on rank {len(answers) - 1}: {last}")


def test_so_are_versions_wiring_and_arrays(found: dict[str, list[Any]]) -> None:
    for answer in found["graphs_that_differ"]:
        assert is_error(answer, "ConfigurationError", "not alike: wiring", "[0] a reads x", "[0] a reads z")
    for answer in found["another_version"]:
        assert is_error(answer, "ConfigurationError", "not alike: tinynn", "on rank 0: 0.1.0", "on rank 1: 0.0.1")
    for answer in found["arrays_that_differ"]:
        assert is_error(answer, "ConfigurationError", "not alike: arrays", "[1] 1.W float64[3]", "[1] 1.W float64[4]")


def test_of_files_some_rows_are_compared(found: dict[str, list[Any]]) -> None:
    for differ, alike, alone in found["files_that_differ"]:
        assert is_error(differ, "ConfigurationError", "the ranks are not alike: data")
        assert alike == pytest.approx(alone, rel=CLOSE)


def test_what_is_wrong_on_one_rank_alone_is_raised_on_all(found: dict[str, list[Any]]) -> None:
    kinds = {"nan_in_the_data": ("DataError", "nan in row 3"), "bad_arguments": ("ConfigurationError", "batch_size")}
    for name, (kind, words) in kinds.items():
        for rank, answer in enumerate(found[name]):
            if rank == 1:
                assert is_error(answer, kind, words)
            else:
                assert is_error(answer, "StateError", f"rank 1 failed: {kind}: ", words, f"rank {rank} of")


def test_data_of_every_kind_can_be_compared(found: dict[str, list[Any]]) -> None:
    as_one(found["unusual_data"])


def test_where_a_layers_function_lies_is_no_difference(found: dict[str, list[Any]]) -> None:
    answers = found["functions_in_layers"]
    assert [epochs for epochs, _, _ in answers] == [1] * len(answers)
    assert len({text for _, text, _ in answers}) > 1


# --- orders and callbacks


def test_the_caller_may_decide_the_order_and_all_must_decide_alike(found: dict[str, list[Any]]) -> None:
    as_one(found["an_order"])
    others = ", ".join(map(str, range(1, len(found["an_order"]))))
    for answer in found["orders_that_differ"]:
        assert is_error(answer, "StateError", f"the order of the rows on rank {others}: not the same as on rank 0")


def test_where_one_callback_says_stop_all_stop(found: dict[str, list[Any]]) -> None:
    assert all_alike(found["one_says_stop"]) == [2, "callback"]


def test_a_callback_that_raises_on_one_rank_costs_nobody_the_epoch(found: dict[str, list[Any]]) -> None:
    for rank, (told, files, apart) in enumerate(found["one_callback_raises"]):
        assert is_error(told, *(("OSError",) if rank == 1 else ("StateError", "rank 1 failed: OSError: no space")))
        assert files == ["step-000000004.npz", "step-000000008.npz"]
        assert apart < CLOSE


def test_parameters_that_one_rank_changed_are_noticed(found: dict[str, list[Any]]) -> None:
    what = "the parameters on rank 1: not the same as on rank 0"
    for told, epochs in found["one_changes_parameters"]:
        assert is_error(told, "StateError", what, "after step 8") and epochs == [1]
    for told, steps in found["noticed_within_an_epoch"]:
        assert is_error(told, "StateError", what.partition(":")[0], "after step 2") and steps == 2


def test_fit_may_be_called_in_a_callback_of_fit(found: dict[str, list[Any]]) -> None:
    assert all_alike(found["a_fit_in_a_callback"]) < CLOSE


# --- batches


@pytest.mark.parametrize("name", ["row_weights", "small_batches", "dropout", "several_inputs", "sources", "backends"])
def test_ranks_learn_what_one_process_learns(found: dict[str, list[Any]], name: str) -> None:
    as_one(found[name])


def test_a_batch_of_all_rows_is_shared_evenly(found: dict[str, list[Any]]) -> None:
    asked = [rows - 1 for rows in found["one_batch_of_all_rows"]]  # but for one, to know what the source gives
    assert asked == ([21, 20] if len(asked) == 2 else [14, 14, 13])


def test_running_means_become_the_means_over_the_ranks(found: dict[str, list[Any]]) -> None:
    answer = all_alike(found["batch_norm"])
    assert answer["differed"] and answer["mean"] < 1e-15
    assert 1e-4 < answer["from one process"] < 1  # a smaller batch has other statistics


def test_one_run_after_another(found: dict[str, list[Any]]) -> None:
    for name in ("alone_after_together", "two_runs"):
        assert max(map(max, found[name])) < CLOSE
    assert max(found["captures_that_differ"]) < CLOSE
    together, alone = all_alike(found["no_parameters"])
    assert together == pytest.approx(alone, rel=CLOSE)


# --- what goes wrong in a step


def test_nan_that_is_born_on_one_rank_is_no_step_of_any(found: dict[str, list[Any]]) -> None:
    answers = found["born_on_one_rank"]
    born = [rank for rank, answer in enumerate(answers) if answer[0]["error"] == "NonFiniteError"]
    assert born == [0 if len(answers) == 2 else 1]  # the sixth of twelve rows
    for rank, (told, params, states) in enumerate(answers):
        kind = ("NonFiniteError",) if rank in born else ("StateError", f"rank {born[0]} failed: NonFiniteError: ")
        assert is_error(told, *kind, "Affine(5), forward", "row 17 of the data")
        assert (params, states) == (0, 0)


def test_what_is_wrong_from_the_start_is_said_by_all(found: dict[str, list[Any]]) -> None:
    for answer in found["wrong_from_the_start"]:
        assert is_error(answer, "GradientError", "left the gradient of 1.b unwritten")


def test_a_run_that_diverges_leaves_all_as_they_were(found: dict[str, list[Any]]) -> None:
    for told, apart in found["divergence"]:
        assert is_error(told, "StateError", "the run diverged in epoch 1", 'finite="step"') and apart == 0


def test_all_stop_when_the_validation_says_so(found: dict[str, list[Any]]) -> None:
    for stopped, as_many, apart in all_alike(found["patience"]):
        assert stopped == "early" and as_many and apart < CLOSE
    answers = found["many_rows_of_validation"]
    assert all(loss < CLOSE and accuracy for loss, accuracy, _ in answers)
    # Each rank looks at one row first, to know what the source gives.
    assert sum(asked - 1 for _, _, asked in answers) == 3000 and all(asked > 1 for _, _, asked in answers[:3])


# --- what rank 0 alone does


def test_rank_0_alone_prints_and_writes(found: dict[str, list[Any]]) -> None:
    assert found["only_the_first_prints"] == [2, *[0] * (len(found["only_the_first_prints"]) - 1)]
    (files, size, whole), *others = found["only_the_first_writes"]
    assert files == ["run.html", "step-000000001.npz"] and size > 0 and whole
    assert others == [[[]]] * len(others)


def test_what_it_cannot_write_is_said_by_all(found: dict[str, list[Any]]) -> None:
    first, *others = found["a_folder_that_cannot_be_used"]
    assert is_error(first, "DataError", "a file has its name")
    assert all(is_error(answer, "StateError", "rank 0 failed: DataError: ") for answer in others)


# --- the ranks themselves


def test_ranks_of_a_communicator(found: dict[str, list[Any]]) -> None:
    answers = found["communicators"]
    for rank, answer in enumerate(answers):
        *groups, timeout = answer["refused"]
        assert all(is_error(one, "ConfigurationError", "no group of processes", "mpi4py") for one in groups)
        assert is_error(timeout, "ConfigurationError", "the timeout in seconds", "Ranks(timeout=300)")
        assert answer["world"] and answer["once"] == [True] * 3 and answer["two"]
        assert answer["one process"] == [True, True]
        assert answer["repr"] == f"<rank {rank} of {len(answers)}>"
    for told, broken, epochs in found["one_process_goes_on"]:
        assert is_error(told, "NonFiniteError", "the run diverged") and not broken and epochs == 1


def test_what_rank_0_knows_comes_to_all(found: dict[str, list[Any]]) -> None:
    facts, arrays = all_alike(found["what_rank_0_knows"])
    assert facts == {"x": [1, None]}
    assert arrays == {
        "a": ["float64", [3, 2], [[0, 3], [1, 4], [2, 5]]],
        "none": ["float64", [0, 3], []],
        "number": ["int16", [], 7],
    }


def test_those_that_wait_are_told_why(found: dict[str, list[Any]]) -> None:
    for rank in range(len(found["last_words"])):
        left, ends = found["a_rank_that_leaves"][rank]
        hangs, also = found["a_rank_that_hangs"][rank]
        failed, too = found["last_words"][rank]
        if rank == 1:
            assert (left, ends, hangs, also, failed, too) == (None, [], None, [], None, [1])
        else:
            assert is_error(left[0], "StateError", "rank 1 has left", "rank 1 at a sum")
            assert is_error(left[1], "StateError", "this job is ending") and left[2]
            assert is_error(hangs, "StateError", "rank 1 did not come in 0.1 s", "at a sum")
            assert is_error(failed, "StateError", "rank 1 failed: OSError: no space left on ?")
            assert ends == also == too == [1]


@needs_mpiexec
def test_a_rank_that_hangs_before_it_makes_its_ranks_does_not_keep_the_job() -> None:
    program = (
        "import time; from mpi4py import MPI; from tinynn.distributed import Ranks\n"
        "if MPI.COMM_WORLD.rank == 1: time.sleep(100)\n"
        "Ranks(timeout=0.2)"
    )
    done = finished(opened(2, "-c", program))
    assert done.returncode != 0
    assert "not every rank came in 0.2 s" in done.stderr


@needs_mpiexec  # for the library that comes with it
def test_one_process_is_started_without_it_and_goes_on_after_an_error() -> None:
    program = (
        "from distributed_checks import *\n"
        "ranks, net, other = Ranks(), network(), network()\n"
        "told = raised(lambda: trained(network(), ranks, optimizer=SGD(1e300)).loss)\n"
        "histories = [trained(one, comm).loss for one, comm in ((net, ranks), (other, None))]\n"
        "print(told['error'], histories[0] == histories[1], apart(net, other), ranks)"
    )
    done = finished(opened(0, "-c", program))
    assert (done.returncode, done.stdout) == (0, "NonFiniteError True 0.0 <rank 0 of 1>\n"), done.stderr


def test_without_mpi4py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(MissingExtraError, match=r"tinynn-xp\[mpi\]"):
        fit(network(), SGD(0.1), (X, T), epochs=1, comm=object())
    with pytest.raises(MissingExtraError, match="several processes needs the package mpi4py"):
        Ranks()


def test_without_an_mpi_that_it_could_call_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutLibrary(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name == "MPI":
                raise RuntimeError("cannot load MPI library\nlibmpi.so: no such file")
            raise AttributeError(name)

    monkeypatch.setitem(sys.modules, "mpi4py", WithoutLibrary("mpi4py"))
    with pytest.raises(ConfigurationError, match="there is no MPI on this machine") as told:
        mpi()
    assert "cannot load MPI library libmpi.so: no such file" in str(told.value)
    assert "pip install mpich" in str(told.value)


def test_where_the_others_do_not_come_the_job_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Any] = []
    monkeypatch.setattr(ranks_module.atexit, "register", lambda *call: registered.append(call))
    lonely = object.__new__(Ranks)
    lonely.timeout, lonely.rank, lonely.size = 0.01, 0, 2
    ends: list[int] = []
    lonely.MPI = SimpleNamespace(COMM_WORLD=SimpleNamespace(Abort=ends.append))
    never = SimpleNamespace(Idup=lambda: (None, SimpleNamespace(Test=lambda: False)))
    with pytest.raises(StateError, match=r"not every rank came in 0.01 s"):
        lonely.copy(never)
    ((work, *words),) = registered
    work(*words)
    assert ends == [1]


# --- GPUs, of which there are none here: what is asked of CuPy and NCCL


class FakeRanks:
    """Two of them, of which this is one; the other has what `other` says."""

    def __init__(self, other: Any = None, rank: int = 0) -> None:
        self.rank, self.size, self.first = rank, 2, rank == 0
        self.other, self.asked = other, []
        self.words = SimpleNamespace(agreed=None)
        self.MPI = SimpleNamespace(Get_processor_name=lambda: "here", COMM_TYPE_SHARED="shared")
        self.comm = self

    def together(self) -> Any:
        return self

    def refuse_alike(self, error: Exception) -> None:
        self.words.agreed = error
        raise error

    def __enter__(self) -> None:
        self.asked.append("together")

    def __exit__(self, *error: object) -> None:
        pass

    def any(self, flag: bool) -> bool:
        return flag or bool(self.other)

    def gather(self, facts: Any) -> list[Any]:
        return [facts, self.other]

    def from_first(self, facts: Any, arrays: Any) -> Any:
        self.asked.append(("meet", facts))
        return [7, 8, 9], arrays

    def wait(self, request: Any, what: str) -> None:
        while not request.Test():
            self.asked.append(f"waits for {what}")

    def Split_type(self, kind: str, key: int) -> Any:
        self.asked.append((kind, key))

        def free() -> None:
            self.asked.append("freed")

        return SimpleNamespace(Get_rank=lambda: 1, Get_size=lambda: self.other, Free=free)


class FakeCuda:
    """CuPy's module `cuda`, and NCCL's; what is asked of them is in `asked`."""

    NCCL_FLOAT32, NCCL_FLOAT64, NCCL_SUM = "float32", "float64", "sum"

    def __init__(self, devices: int = 2, available: bool = True) -> None:
        self.asked: list[Any] = []
        self.answers = [False, True]
        self.cuda = self.nccl = self
        self.available = available
        self.runtime = SimpleNamespace(getDeviceCount=lambda: devices)
        self.ndarray = np.ndarray

    def get_unique_id(self) -> tuple[int, ...]:
        return 1, 2, 3

    def get_current_stream(self) -> Any:
        return SimpleNamespace(ptr="the step's stream")

    def NcclCommunicator(self, *who: Any) -> Any:
        self.asked.append(who)
        return SimpleNamespace(allReduce=lambda *call: self.asked.append(call))

    def Device(self, number: int = 0) -> Any:
        return SimpleNamespace(pci_bus_id="0000:01", use=lambda: self.asked.append(f"use {number}"))

    def Event(self, disable_timing: bool) -> Any:
        assert disable_timing
        cuda = self

        class Event:
            def record(self) -> None:
                cuda.asked.append("record")

            @property
            def done(self) -> int:
                return cuda.answers.pop(0)

        return Event()


def on_gpus(monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda) -> Any:
    """The backend of a network on them."""
    for name in ("cupy", "cupy.cuda", "cupy.cuda.nccl"):
        monkeypatch.setitem(sys.modules, name, cuda)
    return SimpleNamespace(name="cupy", xp=cuda, asarray=lambda x: object())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [0, 1])
def test_nccl_sums_in_the_stream_of_the_step(monkeypatch: pytest.MonkeyPatch, rank: int, dtype: str) -> None:
    cuda = FakeCuda()
    ranks: Any = FakeRanks(rank=rank)
    ranks.gather = lambda facts: [["here", "0000:01"], ["here", "0000:02"]]
    wire = wire_of(ranks, on_gpus(monkeypatch, cuda))
    assert isinstance(wire, Nccl) and wire.every > 1
    assert ranks.asked == [("meet", [1, 2, 3] if rank == 0 else None)]  # only rank 0's counts
    vector: Any = SimpleNamespace(data=SimpleNamespace(ptr="there"), size=5, dtype=np.dtype(dtype))
    wire(vector, "step 1")
    assert cuda.asked == [(2, (7, 8, 9), rank), ("there", "there", 5, dtype, "sum", "the step's stream")]
    assert len(ranks.asked) == 1  # the host went on
    wire.wait("the steps")
    assert cuda.asked[2:] == ["record"]
    assert ranks.asked[1:] == ["waits for the steps"]


def test_two_ranks_on_one_gpu_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, ranks = FakeCuda(), FakeRanks(other=["here", "0000:01"])
    ranks.any = lambda flag: flag
    with pytest.raises(DeviceError, match="ranks 0 and 1 compute on the same GPU") as told:
        wire_of(ranks, on_gpus(monkeypatch, cuda))  # pyright: ignore[reportArgumentType]
    assert "use_gpu" in str(told.value)
    assert ranks.words.agreed is told.value and cuda.asked == []


@pytest.mark.parametrize(("here", "elsewhere"), [(False, False), (True, True)])
def test_nccl_is_for_all_or_none(monkeypatch: pytest.MonkeyPatch, here: bool, elsewhere: bool) -> None:
    ranks: Any = FakeRanks(other=elsewhere)
    assert type(wire_of(ranks, on_gpus(monkeypatch, FakeCuda(available=here)))) is Staged


def test_the_wires_of_other_backends() -> None:
    ranks: Any = FakeRanks()
    host, staged = wire_of(ranks, NumpyOps()), wire_of(ranks, FakeDevice())
    assert (type(host), host.every) == (Host, 1)
    assert type(staged) is Staged and staged.every > 1
    host.wait("nothing")


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(devices=2)
    on_gpus(monkeypatch, cuda)
    ranks: Any = FakeRanks(other=2, rank=1)
    assert use_gpu(ranks) == 1
    assert cuda.asked == ["use 1"]
    assert ranks.asked == ["together", ("shared", 1), "freed", "together"]


def test_more_processes_than_gpus_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(devices=2)
    on_gpus(monkeypatch, cuda)
    ranks: Any = FakeRanks(other=3)
    with pytest.raises(DeviceError, match="more processes than GPUs") as told:
        use_gpu(ranks)
    assert "mpiexec -ppn 2" in str(told.value) and cuda.asked == []


def test_use_gpu_needs_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    ranks: Any = FakeRanks()
    with pytest.raises(MissingExtraError, match=r"tinynn-xp\[cuda12\]"):
        use_gpu(ranks)
