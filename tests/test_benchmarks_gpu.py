"""The GPU benchmark without a GPU: jobs, goals and page by invented times, the harness with contenders of the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import gpu as bench
from benchmarks import gpu_machine, gpu_measure, gpu_page, gpu_report, gpu_sweep, reference
from benchmarks.contenders import CATALOGUE
from benchmarks.contenders import gpu as contenders
from benchmarks.contenders.gpu import (
    AUTOTUNE,
    CAPTURED,
    COMPILED,
    CPU,
    EAGER,
    GPU,
    JAX,
    OVERHEAD,
    PRODUCTS,
    TORCH,
    Form,
)
from benchmarks.contenders.gpu.tinynn_cupy import Contender
from benchmarks.gpu_jobs import BEST_COMPILE, GPU_JOBS, GpuJob, flops
from benchmarks.gpu_measure import Clock, Limits, measure
from benchmarks.gpu_team import Failed, Team
from benchmarks.jobs import Goal, Job
from benchmarks.material import material, save
from benchmarks.measure import Trial
from tinynn.app.command import cuda_driver
from tinynn.testing import FakeDevice

ROOT = Path(__file__).resolve().parents[1]
TINY = Job("tiny", "6-5-3, batch 4", "step", (6,), (5,), 3, batch=4, steps=8, lr=0.5, made=True)
NAMES = (CAPTURED, EAGER, TORCH)
SMALL = GpuJob("tiny", TINY, NAMES, goals=(Goal(TORCH, ratio=1e9), Goal(JAX, ratio=1e9), Goal(step_us=1e9)))
LIMITS = Limits(rounds=2, epoch_rounds=2, trials=1, load=60.0, rest=0.0)
ABOUT = {
    "cpu": "Some CPU",
    "cores": 16,
    "system": "Linux",
    "python": "3.11.0",
    "gpu": "Some GPU",
    "capability": "9.0",
    "memory": 80 * 2**30,
    "driver": "550.54.14",
    "cuda": "12.4",
}


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Contenders of the CPU under the names of those that need a GPU."""
    modules = {CAPTURED: "tinynn_fit", EAGER: "tinynn_fit", TORCH: "bare_numpy", PRODUCTS: "gemm_floor"}
    for name, module in modules.items():
        monkeypatch.setitem(GPU, name, replace(GPU[name], module=module, package="tinynn", threads=(1,)))
    monkeypatch.setitem(GPU, CPU, replace(GPU[CPU], threads=(1,)))
    with contenders.listed():
        yield


def measured(job: GpuJob = SMALL, names: tuple[str, ...] = NAMES, **options: Any) -> dict[str, Any]:
    with Team() as team:
        return json.loads(json.dumps(measure(job, list(names), team, LIMITS, Clock(600.0), **options)))


# --- jobs and contenders


def test_jobs_have_the_goals_of_the_issue() -> None:
    goals = {name: {goal.against: goal for goal in job.goals} for name, job in GPU_JOBS.items()}
    small = goals["mlp100-128"]
    assert (small[""].step_us, small[TORCH].ratio) == (20, 1 / 8)
    assert (small[BEST_COMPILE].ratio, small[JAX].ratio) == (1 / 1.2, 1 / 1.5)
    epoch = GPU_JOBS["epoch"]
    assert epoch.job.rows > 60_000 - 128
    assert goals["epoch"][""].step_us == pytest.approx(10_000 / epoch.job.steps)
    assert goals["nielsen"][CPU].ratio == 1 / 3
    for precision in ("float32", "tf32", "bfloat16"):
        assert GPU_JOBS[f"wide-{precision}"].precision == precision
        assert goals[f"wide-{precision}"][TORCH].ratio == 1 / 0.95
        assert goals[f"wide-{precision}"][PRODUCTS].ratio == 1 / 0.85
    assert goals["lenet"][TORCH].ratio == 1
    assert GPU_JOBS["lenet"].job.batch == 128 and contenders.AUTOTUNED in GPU_JOBS["lenet"].contenders


@pytest.mark.parametrize("name", GPU_JOBS)
def test_whoever_a_goal_is_about_takes_part(name: str) -> None:
    job = GPU_JOBS[name]
    for goal in job.goals:
        against = COMPILED if goal.against == BEST_COMPILE else (goal.against,) if goal.against else ()
        assert {CAPTURED, *against} <= set(job.contenders)
    assert set(job.contenders) <= set(GPU)
    assert len(set(job.contenders)) == len(job.contenders)
    assert all(GPU[other].kinds and job.job.kind in GPU[other].kinds for other in job.contenders)
    assert job.job.made  # nothing is downloaded on a machine that may have no net


def test_tolerances() -> None:
    assert {name: job.tolerance for name, job in GPU_JOBS.items() if job.tolerance != 1e-4} == {
        "wide-tf32": 1e-2,
        "wide-bfloat16": 1e-2,
    }


def test_the_work_of_a_step_is_counted() -> None:
    assert flops(TINY) == 2 * 4 * (6 * 5 * 2 + 5 * 3 * 3)
    assert flops(GPU_JOBS["wide-float32"].job) == pytest.approx(2.58e12, rel=0.01)


@pytest.mark.parametrize("form", [Form("float32"), Form("tf32", True), Form("bfloat16", extra="NHWC")])
def test_a_form_goes_through_its_text(form: Form) -> None:
    assert Form.of(form.text) == form


def test_every_module_is_that_of_a_contender() -> None:
    folder = Path(contenders.__file__).parent
    own = {entry.module.removeprefix("gpu.") for entry in GPU.values() if entry.module.startswith("gpu.")}
    assert own == {file.stem for file in folder.glob("[!_]*.py")}
    others = {entry.module for entry in GPU.values() if not entry.module.startswith("gpu.")}
    assert all((folder.parent / f"{module}.py").exists() for module in others)
    assert not GPU.keys() & CATALOGUE.keys()
    with contenders.listed():
        assert GPU.items() <= CATALOGUE.items()
    assert not GPU.keys() & CATALOGUE.keys()


# --- tinynn's contender, on the device that is not there


class OnTheFakeDevice(Contender):
    backend = FakeDevice()


@pytest.mark.parametrize("word", ["captured", "eager"])
@pytest.mark.parametrize("kind", ["step", "epoch"])
def test_tinynn_on_a_device_agrees_with_the_reference(kind: Any, word: str) -> None:
    job = replace(TINY, kind=kind)
    what = material(job)
    one = OnTheFakeDevice(job, what, Form("float32", extra=word).text)
    found = one.values()
    for steps in (1, reference.steps_to_check(job)):
        one.reset()
        one.train(steps)
        found += one.values()
    assert found == pytest.approx(reference.check_values(job, what), abs=1e-5)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("word", ["captured", "eager"])
@pytest.mark.parametrize("kind", ["step", "epoch"])
def test_tinynn_times_its_epochs(kind: Any, word: str, copied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(TINY, kind=kind)
    one = OnTheFakeDevice(job, material(job), Form("float32", copied, word).text)
    calls: list[int] = []

    def timed(data: Any, seed: int, epochs: int) -> Any:
        calls.append(epochs)
        return SimpleNamespace(seconds=[9.0] + [0.04] * (epochs - 1)), 0.2 + 0.05 * epochs

    monkeypatch.setattr(one, "timed", timed)
    monkeypatch.setattr(one, "copying", lambda data: 0.5)
    one.run(1, 8)
    loop = word == "captured" and kind == "step"
    assert one.seconds == pytest.approx((0.04 if loop else 0.05) + 0.5 * copied)
    assert calls == ([4] if loop else [1, 4])
    one.run(1, 8)  # as many epochs as take long enough for the clock
    assert calls[-1] == (5 if loop else 4)


def test_tinynn_times_something() -> None:
    one = OnTheFakeDevice(TINY, material(TINY), "float32, copied, captured")
    one.run(1, 8)
    assert one.seconds is not None and one.seconds > 0
    assert one.versions()["tinynn"]


def test_a_step_that_is_not_captured_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice()
    monkeypatch.setattr(device, "capture_step", lambda *args: 1 / 0)
    monkeypatch.setattr(OnTheFakeDevice, "backend", device)
    one = OnTheFakeDevice(TINY, material(TINY), "float32, resident, captured")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a program has it that does not say otherwise
        with pytest.raises(RuntimeWarning, match="without a CUDA graph"):
            one.run(1, 8)
    OnTheFakeDevice(TINY, material(TINY), "float32, resident, eager").run(1, 8)


def test_the_precision_is_that_of_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice()
    monkeypatch.setattr(device, "precision", "tf32")
    monkeypatch.setattr(OnTheFakeDevice, "backend", device)
    assert OnTheFakeDevice(TINY, material(TINY), "tf32, resident, captured").net.ops.precision == "tf32"
    with pytest.raises(Exception, match="bfloat16"):
        OnTheFakeDevice(TINY, material(TINY), "bfloat16, resident, captured")


# --- the harness


@pytest.mark.usefixtures("stand_ins")
def test_a_job_is_measured() -> None:
    found = measured()
    assert set(found["contenders"]) == set(NAMES)
    for one in found["contenders"].values():
        assert len(one["us"]) == 2 and min(one["us"]) > 0 and one["peak_bytes"] is None
    assert [goal["met"] for goal in found["goals"]] == [True, None, True]
    assert found["left_out"] == {}
    assert found["contenders"][CAPTURED]["form"] == "float32, resident, captured"


@pytest.mark.usefixtures("stand_ins")
def test_whoever_fails_is_left_out_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # undone while the harness still knows of it, not after that
        patch.setitem(CATALOGUE, TORCH, replace(GPU[TORCH], module="no_such_module"))
        found = measured()
    assert set(found["contenders"]) == {CAPTURED, EAGER}
    assert found["left_out"][TORCH].startswith("failed: ModuleNotFoundError")
    assert [goal["met"] for goal in found["goals"]] == [None, None, True]


@pytest.mark.usefixtures("stand_ins")
def test_a_process_is_asked_one_thing_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GPU, TORCH, replace(GPU[TORCH], forms=lambda job: ("a", "b", "c")))
    waiting: set[str] = set()
    send, answer = Team.send, Team.answer

    def sent(self: Team, trial: Trial, **request: Any) -> None:
        assert trial.name not in waiting
        waiting.add(trial.name)
        send(self, trial, **request)

    def answered(self: Team, trial: Trial, *args: Any) -> Any:
        waiting.remove(trial.name)
        return answer(self, trial, *args)

    monkeypatch.setattr(Team, "send", sent)
    monkeypatch.setattr(Team, "answer", answered)
    assert set(measured()["contenders"]) == set(NAMES)


@pytest.mark.usefixtures("stand_ins")
def test_all_forms_of_a_process_that_has_ended_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GPU, TORCH, replace(GPU[TORCH], forms=lambda job: ("NCHW", "NHWC")))
    ask = Team.ask

    def asked(self: Team, trial: Trial, *args: Any, **request: Any) -> Any:
        if request["do"] == "check" and "NCHW" in trial.form:
            self.lose(trial)
            raise Failed("out of memory")
        return ask(self, trial, *args, **request)

    monkeypatch.setattr(Team, "ask", asked)
    assert measured()["left_out"] == {TORCH: "failed: out of memory"}


@pytest.mark.usefixtures("stand_ins")
def test_another_result_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reference.check_values(TINY, material(TINY))
    monkeypatch.setattr(reference, "check_values", lambda job, what: [right[0] + 1, *right[1:]])
    found = measured()
    assert found["contenders"] == {}
    assert all("does not compute what the others do" in reason for reason in found["left_out"].values())
    monkeypatch.setattr(gpu_measure.GpuJob, "tolerance", 2.0)
    assert set(measured()["contenders"]) == set(NAMES)


@pytest.mark.usefixtures("stand_ins")
def test_without_a_reference_the_first_one_is_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "check_values", lambda job, what: [0.0, 0.0, 0.0])
    assert set(measured(replace(SMALL, referenced=False))["contenders"]) == set(NAMES)


@pytest.mark.usefixtures("stand_ins")
def test_whoever_fails_in_a_later_round_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real, runs = gpu_measure.Measurement.run, []

    def run(self: Any, trial: Trial, *args: Any) -> dict[str, float]:
        runs.append(trial.name)
        if runs.count(EAGER) == 4 and trial.name == EAGER:
            raise Failed("its process ended with status -11")
        return real(self, trial, *args)

    monkeypatch.setattr(gpu_measure.Measurement, "run", run)
    found = measured()
    assert found["left_out"] == {EAGER: "failed: its process ended with status -11"}
    assert {name: len(one["us"]) for name, one in found["contenders"].items()} == {CAPTURED: 2, TORCH: 2}


@pytest.mark.usefixtures("stand_ins")
def test_the_fastest_form_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gpu_measure.Measurement,
        "run",
        lambda self, trial, *args: dict.fromkeys(("us", "call_us"), len(trial.form) * 1e5),
    )
    monkeypatch.setitem(GPU, TORCH, replace(GPU[TORCH], forms=lambda job: ("the slow one", "fast")))
    found = measured(names=(TORCH,))
    assert found["contenders"][TORCH]["form"] == "float32, resident, fast"
    assert found["contenders"][TORCH]["steps"] == 3  # no more than fit into the longest time of a run


@pytest.mark.usefixtures("stand_ins")
def test_the_peak_is_what_is_free_again_after_the_end_less_what_was_free_in_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = iter([1000, 600, 900, 950])
    ended: list[Trial] = []
    with Team() as team:
        monkeypatch.setattr(team, "lose", ended.append)
        one = gpu_measure.Measurement(SMALL, [TORCH, CPU], team, LIMITS, Clock(600.0))
        one.steps = {TORCH: 8}
        monkeypatch.setattr(one, "run", lambda trial, seed, steps, watch: [watch(), watch()])
        best = {TORCH: Trial(TORCH, None, ""), CPU: Trial(CPU, None, "")}
        assert one.peaks({TORCH: best[TORCH]}, lambda: next(free)) == {TORCH: 950 - 600}
        assert ended == [best[TORCH]]
        assert one.peaks(best, lambda: None) == one.peaks({CPU: best[CPU]}, lambda: 5) == {}


@pytest.mark.usefixtures("stand_ins")
def test_memory_is_asked_for_while_a_contender_runs() -> None:
    asked: list[int] = []
    found = measured(names=(TORCH,), free=lambda: asked.append(1) or 1000 + len(asked))
    assert found["contenders"][TORCH]["peak_bytes"] == asked[-1] * (len(asked) - 1)


def test_when_the_time_is_up_one_round_is_made(stand_ins: None) -> None:
    with Team() as team:
        found = measure(SMALL, list(NAMES), team, replace(LIMITS, rounds=50), Clock(0.0))
    assert {len(one["us"]) for one in found["contenders"].values()} == {1}


def loaded(team: Team, folder: Path) -> Trial:
    save(material(TINY), folder)
    trial = Trial(TORCH, 1, "")
    team.ask(trial, 60.0, do="load", job=TINY.as_dict(), folder=str(folder))
    return trial


@pytest.mark.usefixtures("stand_ins")
def test_a_process_that_ends_is_given_up_and_started_anew(tmp_path: Path) -> None:
    with Team() as team:
        trial = loaded(team, tmp_path)
        team.of(trial).process.kill()
        with pytest.raises(Failed, match="ended"):
            team.ask(trial, 60.0, do="run", seed=0, steps=2)
        assert team.children == {}
        assert team.ask(loaded(team, tmp_path), 60.0, do="run", seed=0, steps=2)["seconds"] > 0


@pytest.mark.usefixtures("stand_ins")
def test_a_process_that_hangs_is_given_up(tmp_path: Path) -> None:
    with Team() as team:
        trial = loaded(team, tmp_path)
        os.kill(team.of(trial).process.pid, signal.SIGSTOP)
        watched: list[int] = []
        with pytest.raises(Failed, match="no answer within 0 seconds"):
            team.ask(trial, 0.2, lambda: watched.append(1), do="run", seed=0, steps=2)
        assert watched and team.children == {}


@pytest.mark.usefixtures("stand_ins")
def test_an_error_is_a_line_and_the_process_is_given_up(tmp_path: Path) -> None:
    with Team() as team:
        trial = loaded(team, tmp_path)
        with pytest.raises(Failed, match=r"^ValueError: unknown request"):
            team.ask(trial, 60.0, do="nothing")
        assert team.children == {}


@pytest.mark.usefixtures("stand_ins")
def test_a_team_forgets_its_job(tmp_path: Path) -> None:
    with Team() as team:
        trial = loaded(team, tmp_path)
        team.drop()
        with pytest.raises(Failed, match="KeyError"):
            team.ask(trial, 60.0, do="run", seed=0, steps=2)


@pytest.mark.usefixtures("stand_ins")
def test_the_whole_run_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = bench.Results(tmp_path, command="test", machine=ABOUT, not_installed={JAX: "not there"})
    written: list[dict[str, Any]] = []
    real = bench.Results.write

    def write(self: bench.Results) -> None:
        real(self)
        written.append(json.loads((tmp_path / "results-gpu.json").read_text()))

    monkeypatch.setattr(bench.Results, "write", write)
    monkeypatch.setattr(bench, "sweep", lambda names, clock: gpu_sweep.sweep(names, clock, (2, 4), (1,), LIMITS))
    breaks = replace(SMALL, name="breaks", job=replace(TINY, batch=-1))
    later = replace(SMALL, name="later", goals=())
    epoch = replace(SMALL, name="epoch", job=replace(TINY, kind="epoch", title="an epoch"))
    bench.run_all([later, SMALL, breaks, epoch], [*NAMES, CPU], results, LIMITS, Clock(600.0), swept=True)
    assert [list(one["jobs"]) for one in written][:3] == [["tiny"], ["tiny"], ["tiny", "epoch"]]
    assert [one["done"] for one in written] == [False] * 5 + [True]
    found = written[-1]
    assert list(found["jobs"]) == ["tiny", "epoch", "later"]
    assert list(found["not_run"]) == ["breaks"]
    assert [(p["width"], p["batch"]) for p in found["sweep"]["points"]] == [(2, 1), (4, 1)]
    assert all({CAPTURED, CPU} <= point["times"].keys() for point in found["sweep"]["points"])
    assert (tmp_path / "step_time_gpu.png").read_bytes()[:4] == b"\x89PNG"
    text = (tmp_path / "RESULTS-gpu.md").read_text()
    assert text == gpu_page.markdown(found)
    assert "## 6-5-3, batch 4" in text and "the job breaks: " in text


def test_no_job_begins_when_the_time_is_up(tmp_path: Path) -> None:
    results = bench.Results(tmp_path, command="test", machine=ABOUT, not_installed={})
    bench.run_all([SMALL, replace(SMALL, name="b", goals=())], [], results, LIMITS, Clock(1.0), swept=True)
    assert results.found["not_run"] == dict.fromkeys(("tiny", "sweep", "b"), "the time was up")
    assert "the job sweep: the time was up" in (tmp_path / "RESULTS-gpu.md").read_text()


# --- verdicts and page


def test_goals_are_judged_by_captured_steps() -> None:
    job = replace(GPU_JOBS["mlp100-128"])
    times = {
        CAPTURED: [18.0, 18.0],
        EAGER: [300.0, 300.0],
        TORCH: [150.0, 150.0],
        OVERHEAD: [30.0, 30.0],
        AUTOTUNE: [20.0, 20.0],
        JAX: [30.0, 30.0],
    }
    found = gpu_report.judge(job, times)
    assert [goal["met"] for goal in found] == [True, True, False, True]
    assert [goal["goal"] for goal in found] == [
        "<= 20 us a step",
        "<= 1/8 of PyTorch eager",
        "<= 1/1.2 of the best torch.compile (torch.compile, max-autotune)",
        "<= 1/1.5 of JAX jit, one call a step",
    ]
    assert [goal["met"] for goal in gpu_report.judge(job, {EAGER: [1.0]})] == [None] * 4
    del times[AUTOTUNE]
    assert gpu_report.judge(job, times)[2]["met"] is True
    assert gpu_report.judge(job, times | {CAPTURED: [21.0, 21.0]})[0]["met"] is False


def test_an_epoch_is_judged_in_milliseconds() -> None:
    (found,) = gpu_report.judge(GPU_JOBS["epoch"], {CAPTURED: [20.0]})
    assert (found["goal"], found["met"], found["measured"]) == ("<= 10 ms an epoch", True, "9.36 ms")
    assert gpu_report.judge(GPU_JOBS["epoch"], {CAPTURED: [21.5]})[0]["met"] is False


def test_the_share_of_the_rate_of_the_products() -> None:
    job = GPU_JOBS["wide-tf32"]
    found = gpu_report.judge(job, {CAPTURED: [100.0], PRODUCTS: [86.0], TORCH: [96.0]})
    assert [goal["met"] for goal in found] == [True, True]
    assert [goal["goal"] for goal in found] == ["<= 1/0.95 of PyTorch eager", "<= 1/0.85 of matrix products alone"]
    found = gpu_report.judge(job, {CAPTURED: [100.0], PRODUCTS: [84.0], TORCH: [94.0]})
    assert [goal["met"] for goal in found] == [False, False]


def point(width: int, captured: float, cpu: float, batch: int = 8) -> dict[str, Any]:
    return {"width": width, "batch": batch, "times": {CAPTURED: captured, CPU: cpu}}


def test_from_where_on_the_gpu_pays() -> None:
    points = [point(128, 9, 20), point(32, 9, 5), point(512, 9, 90)]
    points += [point(32, 9, 5, 64), point(128, 9, 8, 64)]
    points += [point(32, 9, 10, 512), {"width": 32, "batch": 1, "times": {CPU: 1.0}}]
    found = gpu_report.pays(points)
    assert found == [
        {"batch": 8, "before": 32, "width": 128},
        {"batch": 64, "before": 128, "width": None},
        {"batch": 512, "before": None, "width": 32},
    ]
    assert [gpu_page.in_a_line(one) for one in found] == [
        "- batch 8: from width 128 on; not yet at 32.",
        "- batch 64: not up to width 128.",
        "- batch 512: from the smallest width on, 32.",
    ]
    faster_llvm = [{**p, "times": {**p["times"], contenders.CPU_LLVM: 1.0}} for p in points]
    assert all(one["width"] is None for one in gpu_report.pays(faster_llvm))


def result_of(job: GpuJob, times: dict[str, float], **more: Any) -> dict[str, Any]:
    """A whole result of one job."""
    there = {
        name: {
            "label": GPU[name].label,
            "versions": {"some": "1.2"},
            "threads": None,
            "form": "float32, resident",
            "steps": 8,
            "median": us,
            "min": us,
            "max": us + 1,
            "spread": 0.0,
            "call_median": us,
            "peak_bytes": 123_000_000 if name == CAPTURED else None,
            "us": [us],
        }
        for name, us in times.items()
    }
    judged = gpu_report.judge(job, {name: [us] for name, us in times.items()})
    about = gpu_report.about(job)
    jobs = {job.name: {**about, "contenders": there, "goals": judged, "left_out": {JAX: "failed: no GPU"}}}
    return {
        "command": "python -m benchmarks.gpu",
        "machine": ABOUT,
        "date": "2030-01-02",
        "seconds": 90.0,
        "done": True,
        "not_installed": {AUTOTUNE: "the package torch is not installed"},
        "not_run": {"lenet": "the time was up"},
        "jobs": jobs,
        **more,
    }


def test_the_page_has_the_figures_sorted_by_time() -> None:
    text = gpu_page.markdown(result_of(GPU_JOBS["mlp100-128"], {TORCH: 200.0, CAPTURED: 20.0}))
    ours = "| **tinynn on CuPy, captured** | float32, resident | 20.0 | 20.0 to 21.0 | 2.05 | 123 | - |"
    theirs = "| PyTorch eager | float32, resident | 200.0 | 200.0 to 201.0 | 0.20 | - | 0.100 |"
    assert text.index(ours) < text.index(theirs)
    assert "**2 of 4** goals are met, 2 could not be judged." in text
    assert "| <= 1/8 of PyTorch eager | 0.10, in pairs 0.10 | **met** |" in text
    assert "| <= 1/1.5 of JAX jit, one call a step | - | not measured |" in text
    assert "Not in the table: JAX jit, one call a step failed: no GPU." in text
    assert "- torch.compile, max-autotune: the package torch is not installed" in text
    assert "- the job lenet: the time was up" in text
    assert "Some GPU (compute capability 9.0, 80 GiB), driver 550.54.14 for CUDA 12.4; Some CPU, 16 cores" in text
    assert "not finished" not in text and "Versions: some 1.2." in text


def test_the_page_of_an_epoch_has_milliseconds_and_says_when_it_is_not_finished() -> None:
    text = gpu_page.markdown(result_of(GPU_JOBS["epoch"], {CAPTURED: 20.0}, done=False))
    assert "| epoch, ms |" in text and "| 9.36 |" in text
    assert "**not finished**" in text


def test_every_table_has_rows_as_wide_as_its_head() -> None:
    points = [point(32, 9, 5), point(128, 9, 20)]
    for name in ("epoch", "wide-bfloat16", "mlp100-128-copied"):
        result = result_of(GPU_JOBS[name], {CAPTURED: 20.0, TORCH: 30.0})
        text = gpu_page.markdown({**result, "sweep": {"points": points, "pays": gpu_report.pays(points)}})
        widths: set[int] = set()
        for line in [*text.splitlines(), ""]:
            if line.startswith("|"):
                widths.add(line.count("|"))
            else:
                assert len(widths) <= 1
                widths.clear()


def test_the_page_of_nothing() -> None:
    results = result_of(GPU_JOBS["lenet"], {})
    assert "**0 of 1** goals are met, 1 could not be judged." in gpu_page.markdown(results)


# --- the machine, and where there is none


class Memory:
    """libcuda as far as it is asked here: one GPU without a name, and the memory that is free on it."""

    def __init__(self, free: int, code: int = 0) -> None:
        self.free, self.code = free, code

    def __getattr__(self, name: str) -> Any:
        def put(out: Any, *args: Any) -> int:
            out._obj.value = {"cuDriverGetVersion": 12040, "cuDeviceGetCount": 1, "cuDeviceTotalMem_v2": 2**30}.get(
                name, 9
            )
            return 0

        return put if name != "cuDeviceGetName" else lambda *args: 0

    def cuInit(self, flags: int) -> int:
        return self.code

    def cuDeviceGet(self, out: Any, place: int) -> int:
        return 0

    def cuDevicePrimaryCtxRetain(self, out: Any, device: Any) -> int:
        return 0

    def cuCtxSetCurrent(self, context: Any) -> int:
        return 0

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:
        free._obj.value = self.free
        return 0


def test_free_memory_is_asked_of_the_driver() -> None:
    assert gpu_machine.FreeMemory(Memory(123))() == 123
    assert gpu_machine.FreeMemory(Memory(123, code=100))() is None


def test_without_a_gpu_the_benchmark_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cuda_driver, "library", lambda: None)
    assert bench.main([]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "no NVIDIA driver" in err


def test_the_command_writes_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    monkeypatch.setattr(cuda_driver, "library", lambda: Memory(2**29))
    monkeypatch.setattr(bench, "GPU_JOBS", {"tiny": SMALL})
    monkeypatch.setitem(GPU, TORCH, replace(GPU[TORCH], module="bare_numpy", package="tinynn", threads=(1,)))
    monkeypatch.setitem(GPU, JAX, replace(GPU[JAX], package="no_such_package"))
    named = ["--only", "tiny", "--contenders", TORCH, JAX]
    assert bench.main([*named, "--rounds", "1", "--minutes", "9", "--out", str(tmp_path)]) == 0
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert not GPU.keys() & CATALOGUE.keys()
    found = json.loads((tmp_path / "results-gpu.json").read_text())
    assert found["command"] == f"python -m benchmarks.gpu --only tiny --contenders {TORCH} {JAX} --minutes 9 --rounds 1"
    assert (found["done"], found["seconds"] > 0, found["limits"]["epoch_rounds"]) == (True, True, 1)
    assert found["not_installed"] == {JAX: "the package no_such_package is not installed"}
    assert list(found["jobs"]["tiny"]["contenders"]) == [TORCH]
    assert (found["machine"]["cuda"], found["machine"]["capability"]) == ("12.4", "9.9")
    assert "sweep" not in found and sorted(file.name for file in tmp_path.iterdir()) == [
        "RESULTS-gpu.md",
        "results-gpu.json",
    ]


def no_gpu() -> None:
    driver = cuda_driver.ask(cuda_driver.library())
    if driver is not None and driver.gpus:
        pytest.skip("this machine has a GPU")


@pytest.mark.parametrize("target", ["bench-gpu", "gpu"])
def test_make_installs_nothing_without_a_gpu(target: str) -> None:
    no_gpu()
    there = f"--old-file={sys.prefix}/.tested"  # the environment that runs the tests is not to be made by one of them
    done = subprocess.run(
        ["make", target, there, f"PYTHON={sys.executable}", "VENV_GPU=/dev/null/none", f"VENV={sys.prefix}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "Error 1" in done.stderr
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]
    assert sum("no GPU can be used here" in line for line in lines) == 1
    if target == "bench-gpu":
        assert len(lines) == 1
    else:
        assert any(line.startswith("NVIDIA driver") for line in lines)


@pytest.mark.parametrize("target", ["bench-gpu", "gpu"])
@pytest.mark.parametrize("version", ["12", "13"])
def test_what_make_would_do_with_a_gpu(target: str, version: str) -> None:
    command = ["make", "--dry-run", target, f"CUDA={version}", "VENV_GPU=/dev/null/none"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    gate, install = text.index("cuda_driver.py"), text.index("requirements-gpu.txt")
    assert gate < install < text.index("-m benchmarks.gpu")
    assert f"cuda{version}-ctk" in text
    assert ("pytest -m gpu" in text) == (target == "gpu")
    requirements = (ROOT / "benchmarks" / "requirements-gpu.txt").read_text()
    assert "jax[cuda${CUDA}]" in requirements and "torch${TORCH}" in requirements
    torch = {"12": ">=2.6,<2.11", "13": ">=2.11"}[version]
    assert f"CUDA={version} TORCH='{torch}'" in text
