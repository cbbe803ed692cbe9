"""`tinynn doctor`: every situation by facts that are given, the looking up by files and drivers that are made up."""

from __future__ import annotations

import argparse
import ctypes
import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinynn.app.command import cuda_driver, doctor, doctor_facts, doctor_trial, main
from tinynn.app.command.cuda_driver import Driver, Gpu
from tinynn.app.command.doctor import diagnose, report
from tinynn.app.command.doctor_facts import Facts
from tinynn.testing import FakeDevice

SOME = Gpu("Some GPU", (9, 0), 80 * 2**30)
BOTH = {(name, major): f"/lib/{name}.{major}" for name in ("NVRTC", "cuBLASLt") for major in (12, 13)}
BARE = Facts(python="3.11.9, Linux x86_64", numpy="2.4.6, openblas 0.3.31", processors=2, llvmlite="0.50.0")
WELL = replace(
    BARE,
    driver=Driver(12040, (SOME,)),
    driver_version="550.54.14",
    wheels={"cupy-cuda12x": "14.2.0"},
    libraries=BOTH,
    tried={"kernel": "", "graph": "", "step": ""},
)
NEW = replace(WELL, driver=Driver(13000, (SOME,)))


def verdicts(facts: Facts) -> dict[str, str]:
    return {item.name: item.verdict for item in diagnose(facts).items}


def test_all_well() -> None:
    found = diagnose(WELL)
    assert (found.code, found.commands, found.gpu) == (0, [], True)
    assert {item.verdict for item in found.items} == {"ok"}
    text = report(found)
    assert "550.54.14, supports CUDA up to 12.4" in text
    assert "Some GPU, compute capability 9.0, 80.0 GiB" in text
    assert "cupy-cuda12x 14.2.0, fits the driver" in text
    assert "To do:" not in text
    assert text.endswith('\nbackend="cupy" works here.')
    assert [item.name for item in found.items][-3:] == ["kernel", "captured graph", "training step"]


def test_the_report_is_aligned() -> None:
    found = diagnose(replace(WELL, wheels={}, llvmlite=""))
    lines = report(found).split("\n\n")[0].splitlines()
    assert len(lines) == len(found.items)
    texts = {line.index(item.text) for line, item in zip(lines, found.items, strict=True)}
    marks = {line.index(f"  {item.verdict} ") for line, item in zip(lines, found.items, strict=True)}
    assert len(texts) == len(marks) == 1


@pytest.mark.parametrize("driver", [None, Driver(12040)])
def test_without_a_gpu_nothing_is_amiss(driver: Driver | None) -> None:
    found = diagnose(replace(BARE, driver=driver, wheels={"cupy-cuda12x": "14.2.0"}))
    assert (found.code, found.commands, found.gpu) == (0, [], False)
    assert found.conclusion == 'There is no GPU to be used; backend="numpy" and backend="llvm" need none.'
    assert verdicts(replace(BARE, driver=driver))["NVIDIA driver"] == "-"
    assert found.items[-1] == doctor.Item("CuPy", "-", "cupy-cuda12x 14.2.0")


def test_a_card_without_a_driver() -> None:
    found = diagnose(replace(BARE, card=True))
    assert (found.code, verdicts(replace(BARE, card=True))["NVIDIA driver"]) == (1, "missing")
    assert "install NVIDIA's driver" in found.commands[0]


def test_a_driver_that_fails() -> None:
    found = diagnose(replace(WELL, driver=Driver(12040, problem="cuInit: unknown error (999)")))
    assert found.code == 1
    assert "supports CUDA up to 12.4, but fails: cuInit: unknown error (999)" in report(found)
    assert "restart the machine" in found.commands[0]


def test_a_driver_too_old_for_any_wheel() -> None:
    found = diagnose(replace(WELL, driver=Driver(11080, (SOME,))))
    assert (found.code, found.commands) == (1, ["update NVIDIA's driver, to 525 or newer"])


def test_a_driver_too_old_for_the_wheel() -> None:
    found = diagnose(replace(WELL, wheels={"cupy-cuda13x": "14.2.0"}))
    assert found.code == 1
    assert found.commands == [
        "pip uninstall --yes cupy-cuda13x",
        'pip install "tinynn-xp[cuda12]"',
        "or update NVIDIA's driver, to 580 or newer, and keep cupy-cuda13x",
    ]
    assert found.conclusion == 'backend="cupy" does not work here yet.'


def test_a_newer_driver_runs_the_older_wheel() -> None:
    assert (diagnose(NEW).code, diagnose(NEW).commands) == (0, [])


@pytest.mark.parametrize(("facts", "major"), [(WELL, 12), (NEW, 13)])
@pytest.mark.parametrize("libraries", [True, False])
def test_no_cupy_names_the_extra_that_fits(facts: Facts, major: int, libraries: bool) -> None:
    found = diagnose(replace(facts, wheels={}, tried={}, libraries=BOTH if libraries else {}))
    assert found.code == 1
    assert found.commands == [f'pip install "tinynn-xp[cuda{major}{"" if libraries else "-ctk"}]"']
    assert found.items[-1].verdict == "missing"


def test_a_gpu_that_the_newer_cuda_has_dropped() -> None:
    old = replace(NEW, driver=Driver(13000, (Gpu("An older GPU", (7, 0), 2**34),)))
    assert diagnose(replace(old, wheels={})).commands == ['pip install "tinynn-xp[cuda12]"']
    found = diagnose(replace(old, wheels={"cupy-cuda13x": "14.2.0"}))
    assert found.commands == ["pip uninstall --yes cupy-cuda13x", 'pip install "tinynn-xp[cuda12]"']
    assert diagnose(old).code == 0


def test_a_gpu_too_old_for_all() -> None:
    oldest = Gpu("The oldest GPU", (3, 5), 2**32)
    assert diagnose(replace(WELL, driver=Driver(12040, (oldest,)))).code == 1
    found = diagnose(replace(WELL, driver=Driver(12040, (SOME, oldest))))
    assert (found.code, verdicts(replace(WELL, driver=Driver(12040, (SOME, oldest))))["GPU 1"]) == (0, "-")


@pytest.mark.parametrize("facts", [NEW, BARE])
def test_two_wheels_are_an_error_that_says_which_to_uninstall(facts: Facts) -> None:
    found = diagnose(replace(facts, wheels={"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.1.0"}))
    assert found.code == 1
    assert "cupy-cuda12x 14.2.0 and cupy-cuda13x 14.1.0 lie in one folder" in report(found)
    assert found.commands[0] == "pip uninstall --yes cupy-cuda12x cupy-cuda13x"
    assert found.commands[1:] == (['pip install "tinynn-xp[cuda13]"'] if facts is NEW else [])


@pytest.mark.parametrize(
    ("wheels", "command"),
    [
        ({"cupy-cuda12x": "13.6.0"}, 'pip install --upgrade "cupy-cuda12x>=14"'),
        ({"cupy-rocm-7-0": "14.2.0"}, "pip uninstall --yes cupy-rocm-7-0"),
    ],
)
def test_a_wheel_that_is_too_old_or_for_other_devices(wheels: dict[str, str], command: str) -> None:
    found = diagnose(replace(WELL, wheels=wheels))
    assert (found.code, found.commands[0]) == (1, command)


def test_cupy_built_on_the_machine() -> None:
    facts = replace(NEW, wheels={"cupy": "14.2.0"})
    assert diagnose(facts).code == 0
    only_12 = {key: place for key, place in BOTH.items() if key[1] == 12}
    assert diagnose(replace(facts, libraries=only_12)).code == 0
    assert diagnose(replace(facts, libraries={})).commands == ['pip install "tinynn-xp[cuda13-ctk]"']


def test_no_toolkit() -> None:
    other = {key: place for key, place in BOTH.items() if key != ("cuBLASLt", 12)}
    found = diagnose(replace(WELL, libraries=other))
    assert found.commands == ['pip install "tinynn-xp[cuda12-ctk]"']
    assert {item.name: item.verdict for item in found.items if item.name in ("NVRTC", "cuBLASLt")} == {
        "NVRTC": "ok",
        "cuBLASLt": "missing",
    }
    assert found.items[-1].name == "cuBLASLt"  # what cannot work is not told of


@pytest.mark.parametrize("stage", doctor_trial.STAGES)
def test_what_fails_on_the_gpu_is_said_in_its_own_words(stage: str) -> None:
    found = diagnose(replace(WELL, tried={stage: "CompileException: no such file"}))
    assert (found.code, found.items[-1].text) == (1, "CompileException: no such file")
    assert found.commands == ['pip install --force-reinstall "tinynn-xp[cuda12-ctk]"']


def test_llvmlite_is_no_matter_of_the_gpu() -> None:
    found = diagnose(replace(WELL, llvmlite=""))
    assert found.code == 0
    assert 'pip install "tinynn-xp[llvm]"' in report(found)


# --- the command


@pytest.mark.parametrize(("facts", "code"), [(WELL, 0), (replace(WELL, wheels={}), 1)])
def test_the_exit_code_is_the_diagnosis(facts: Facts, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    doctor.add(parser.add_subparsers(), lambda: facts)
    options = parser.parse_args(["doctor"])
    assert options.run(options) == code
    assert capsys.readouterr().out == report(diagnose(facts)) + "\n"


def test_the_command_tells_of_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    text = capsys.readouterr().out
    assert code in (0, 1)
    assert "NumPy" in text and np.__version__ in text
    assert text.splitlines()[-1] == diagnose(doctor_facts.gather()).conclusion


def test_asking_for_the_command_imports_nothing_heavy() -> None:
    program = (
        "import sys, numpy; before = set(sys.modules); import tinynn.app.command.doctor; "
        "print(*set(sys.modules) - before)"
    )
    brought = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "tinynn.app.command.doctor" in brought
    assert not set(brought) & {"cupy", "llvmlite", "threadpoolctl"}


# --- the driver


class MadeUpDriver:
    """libcuda's functions; `fails`: the code that a function returns instead."""

    def __init__(self, cuda: int = 12040, gpus: tuple[Gpu, ...] = (SOME,), fails: dict[str, int] | None = None) -> None:
        self.cuda, self.gpus, self.fails = cuda, gpus, fails or {}

    def __getattribute__(self, name: str) -> Any:
        given = object.__getattribute__(self, name)
        if not name.startswith("cu") or name == "cuda" or name not in self.fails:
            return given
        return lambda *args: self.fails[name]

    def cuDriverGetVersion(self, out: Any) -> int:
        return put(out, self.cuda)

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGetCount(self, out: Any) -> int:
        return put(out, len(self.gpus))

    def cuDeviceGet(self, out: Any, place: int) -> int:
        return put(out, place)

    def cuDeviceGetName(self, buffer: Any, size: int, device: int) -> int:
        buffer.value = self.gpus[device].name.encode()[: size - 1]
        return 0

    def cuDeviceGetAttribute(self, out: Any, which: int, device: int) -> int:
        return put(out, self.gpus[device].capability[{75: 0, 76: 1}[which]])

    def cuDeviceTotalMem_v2(self, out: Any, device: int) -> int:
        return put(out, self.gpus[device].memory)

    def cuGetErrorString(self, code: int, out: Any) -> int:
        return put(out, {999: b"unknown error"}.get(code))


def put(out: Any, value: Any) -> int:
    out._obj.value = value
    return 0


def test_the_driver_is_asked_for_its_gpus() -> None:
    gpus = (SOME, Gpu("Another GPU", (7, 5), 15 * 2**30))
    assert cuda_driver.ask(MadeUpDriver(13010, gpus)) == Driver(13010, gpus)
    assert cuda_driver.ask(None) is None


@pytest.mark.parametrize(
    ("fails", "problem"),
    [
        ({"cuInit": 100}, ""),
        ({"cuInit": 999}, "cuInit: unknown error (999)"),
        ({"cuDeviceGetCount": 3}, "cuDeviceGetCount: no such error (3)"),
    ],
)
def test_a_driver_that_gives_no_gpu_says_why(fails: dict[str, int], problem: str) -> None:
    assert cuda_driver.ask(MadeUpDriver(fails=fails)) == Driver(12040, problem=problem)


def test_the_driver_in_a_line() -> None:
    assert "no NVIDIA driver" in cuda_driver.in_words(None)
    assert "finds none" in cuda_driver.in_words(Driver(12040))
    assert "fails in cuInit" in cuda_driver.in_words(Driver(12040, problem="cuInit: unknown error (999)"))
    assert cuda_driver.in_words(Driver(12040, (SOME,))) == "GPU: Some GPU"


@pytest.mark.parametrize(("library", "code"), [(None, 1), (MadeUpDriver(gpus=()), 1), (MadeUpDriver(), 0)])
def test_the_script_exits_well_only_with_a_gpu(
    library: Any, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cuda_driver, "library", lambda: library)
    assert cuda_driver.main() == code
    out, err = capsys.readouterr()
    assert len((out + err).splitlines()) == 1
    assert bool(err) == bool(code)


def test_the_script_needs_no_package() -> None:
    script = Path(cuda_driver.__file__)
    done = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True)
    assert (done.returncode, len((done.stdout + done.stderr).splitlines())) in ((0, 1), (1, 1))


@pytest.mark.parametrize("script", [cuda_driver, doctor_trial], ids=["driver", "trial"])
def test_as_scripts_they_do_what_their_main_does(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: MadeUpDriver())
    monkeypatch.setitem(sys.modules, "cupy", None)
    try:
        runpy.run_path(script.__file__, run_name="__main__")
    except SystemExit as end:
        assert end.code == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "GPU: Some GPU" if script is cuda_driver else line.startswith('{"kernel": "import cupy fails')


# --- what is looked up


def test_a_version_is_none_where_nothing_is_installed() -> None:
    assert doctor_facts.version("numpy") == np.__version__
    assert doctor_facts.version("no-such-distribution-anywhere") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="the program that is made up is a script of a shell")
def test_the_drivers_version_is_what_its_program_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))

    def said(script: str) -> str:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return doctor_facts.driver_version()

    assert said("echo 550.54.14; echo 550.54.14") == "550.54.14"
    monkeypatch.setattr(Path, "read_text", lambda *args, **named: "NVRM version: NVIDIA UNIX  580.95.05  Tue Sep 23")
    for script in ("echo 'NVIDIA-SMI has failed'", "exit 9"):
        assert said(script) == "580.95.05", "what the kernel keeps"
    monkeypatch.setattr(Path, "read_text", lambda *args, **named: "of no version")
    assert said("exit 9") == ""


def test_a_program_that_cannot_be_run_or_does_not_end_says_nothing(tmp_path: Path) -> None:
    assert doctor_facts.printed([sys.executable, "-c", "print('so')"], 60).strip() == "so"
    assert doctor_facts.printed([str(tmp_path / "nowhere")], 60) == ""
    assert doctor_facts.printed([sys.executable, "-c", "import time; time.sleep(60)"], 0.2) == ""


def test_a_library_that_the_system_finds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "libtinynn_test_only.so.1"
    monkeypatch.setattr(ctypes, "CDLL", lambda place: place)
    assert doctor_facts.where(name, name) == f"{name} of the system"


def test_every_distribution_of_cupy_is_found() -> None:
    names = ["cupy-cuda12x", "CuPy", "cupy-rocm-7-0", "cupyx-tools", "numpy"]
    distributions = [SimpleNamespace(metadata={"Name": name}, version="14.0") for name in names]
    assert doctor_facts.wheels(distributions) == dict.fromkeys(("cupy", "cupy-cuda12x", "cupy-rocm-7-0"), "14.0")


def test_the_blas_is_named_without_threadpoolctl_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_facts.blas()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert "threads" not in doctor_facts.blas() != ""
    pools = [{"user_api": "openmp", "internal_api": "openmp", "num_threads": 2}]
    monkeypatch.setitem(sys.modules, "threadpoolctl", SimpleNamespace(threadpool_info=lambda: pools))
    assert "threads" not in doctor_facts.blas() != ""  # NumPy's own says of itself, where no pool is a BLAS
    pools.append({"user_api": "blas", "internal_api": "openblas", "version": "0.3.31.dev", "num_threads": 1})
    assert doctor_facts.blas() == "openblas 0.3.31, threads: 1"


@pytest.mark.parametrize(
    "place",
    [
        "site/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "site/nvidia/cu13/lib/libnvrtc.so.12",
        "site/nvidia/cu13/bin/x86_64/libnvrtc.so.12",
        "cuda/lib64/libnvrtc.so.12",
        "cuda/targets/x86_64-linux/lib/libnvrtc.so.12",
    ],
)
def test_a_library_of_the_toolkit_is_found(place: str, tmp_path: Path) -> None:
    def look(name: str = "libnvrtc.so.12") -> str:
        return doctor_facts.library_files(name, [tmp_path / "site/nvidia"], [tmp_path / "cuda"])

    assert look() == ""
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    assert look() == str(tmp_path / place)
    assert look("libnvrtc.so.13") == ""


def test_the_place_of_a_library_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "libtinynn_test_only.so.1"
    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    assert doctor_facts.where(name, name) == ""
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64" / name).touch()
    assert doctor_facts.where(name, name) == str(tmp_path / "lib64" / name)


@pytest.mark.parametrize(
    ("vendor", "kind", "found"),
    [("0x10de", "0x030200", True), ("0x10de", "0x040300", False), ("0x8086", "0x030000", False)],
)
def test_a_card_is_seen_on_the_bus(vendor: str, kind: str, found: bool, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "vendor").write_text(f"{vendor}\n")
    (tmp_path / "0000:01:00.0" / "class").write_text(f"{kind}\n")
    assert doctor_facts.has_nvidia_card(tmp_path) is found
    assert doctor_facts.has_nvidia_card(tmp_path / "nowhere") is False


# --- the trial


class Arrays:
    """Stands in for CuPy where a trial only adds one: NumPy's arrays, and a kernel that adds `by`."""

    def __init__(self, by: float = 1.0, replays: bool = True) -> None:
        self.by, self.replays, self.recording = by, replays, False
        self.recorded: list[np.ndarray] = []
        self.cuda = SimpleNamespace(Stream=lambda **_: self, get_current_stream=lambda: self)

    def RawModule(self, code: str) -> Any:
        return SimpleNamespace(get_function=lambda name: self.add)

    def add(self, grid: Any, block: Any, args: tuple[np.ndarray]) -> None:
        if self.recording:
            self.recorded.append(args[0])
        else:
            args[0][...] += self.by

    def zeros(self, size: int, dtype: Any) -> np.ndarray:
        return np.zeros(size, dtype)

    asnumpy = staticmethod(np.asarray)

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def begin_capture(self) -> None:
        self.recording = True

    def end_capture(self) -> Arrays:
        self.recording = False
        return self

    def launch(self) -> None:
        for x in self.recorded if self.replays else ():
            x[...] += self.by


KERNEL_AND_GRAPH = {name: doctor_trial.STAGES[name] for name in ("kernel", "graph")}


def test_a_kernel_and_a_graph_that_work() -> None:
    assert doctor_trial.tried(Arrays(), KERNEL_AND_GRAPH) == {"kernel": "", "graph": ""}


def test_the_trial_ends_with_the_first_that_does_not_work() -> None:
    found = doctor_trial.tried(Arrays(by=2.0), KERNEL_AND_GRAPH)
    assert found.keys() == {"kernel"} and found["kernel"].startswith("RuntimeError: the result is wrong")
    found = doctor_trial.tried(Arrays(replays=False), KERNEL_AND_GRAPH)
    assert found["kernel"] == "" and "every number should be 3" in found["graph"]


def test_a_captured_step_is_compared_with_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice()
    doctor_trial.step(None, device)
    monkeypatch.setattr(doctor_trial, "TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="differ from NumPy's"):
        doctor_trial.step(None, device)


def test_the_trials_process_is_read_line_by_line() -> None:
    program = 'print(\'a greeting\'); print(\'{"kernel": ""}\', flush=True); print(\'{"graph": ""}\', flush=True)'

    def said(more: str) -> dict[str, str]:
        return doctor_facts.trial([sys.executable, "-c", program + more], 60)

    assert said('; print(\'{"step": "no"}\')') == {"kernel": "", "graph": "", "step": "no"}
    assert said("; import os; os._exit(3)")["step"] == "its process ended with status 3"
    of_others = r"""; import os; os.write(1, b'{a brace}\n[1]\n"text"\n{"other": 1}\n\xff\n{"step": ""'); os._exit(0)"""
    assert said(of_others) == {"kernel": "", "graph": "", "step": "its process ended with status 0"}
    assert doctor_facts.trial([sys.executable, "-c", "import time; time.sleep(60)"], 0.5) == {
        "kernel": "it was not done after 0.5 seconds"
    }


@pytest.mark.parametrize(("replays", "stages"), [(True, ["kernel", "graph", "step"]), (False, ["kernel", "graph"])])
def test_the_trial_tells_of_each_stage_as_it_comes(
    replays: bool, stages: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", Arrays(replays=replays))
    monkeypatch.setitem(doctor_trial.STAGES, "step", lambda xp: None)
    doctor_trial.main()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [[*each] for each in told] == [[name] for name in stages]
    assert [*told[-1].values()] == [""] if replays else "every number should be 3" in told[-1]["graph"]


def test_a_trial_without_cupy_says_so() -> None:
    program = "import sys; sys.modules['cupy'] = None; from tinynn.app.command import doctor_trial; doctor_trial.main()"
    assert doctor_facts.trial([sys.executable, "-c", program])["kernel"].startswith("import cupy fails")


@pytest.mark.gpu
def test_a_gpu_that_cupy_can_use_passes_the_trial() -> None:
    cupy = pytest.importorskip("cupy", reason="needs CuPy and a GPU: CuPy is not installed")
    if not cupy.cuda.is_available():
        pytest.skip("needs a GPU: CuPy finds none")
    assert doctor_trial.tried(cupy) == dict.fromkeys(doctor_trial.STAGES, "")
    assert diagnose(doctor_facts.gather()).code == 0
