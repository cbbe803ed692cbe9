"""The harness at work without peers: jobs, references, contenders, and a small run. No time is ever asserted."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import contenders, footprint, machine, measure, page, reference, run, sweep
from benchmarks.contenders import CATALOGUE, JUDGED, OURS, thread_environment
from benchmarks.contenders.gemm_floor import sizes
from benchmarks.jobs import BEST_PEER, JOBS, Goal, Job, from_dict
from benchmarks.material import LENET, Material, load, material, save
from benchmarks.measure import Crew, Settings, Trial
from benchmarks.worker import Worker

WITHOUT_PEERS = [OURS, "bare_numpy", "gemm_floor"]
TINY = Job("tiny", "6-5-3, batch 4", "step", (6,), (5,), 3, batch=4, steps=8, lr=0.5, made=True)
KINDS = [
    TINY,
    replace(TINY, hidden=(5, 7)),
    replace(TINY, kind="epoch"),
    replace(TINY, activation="sigmoid", loss="quadratic", lr=3.0),
    replace(TINY, kind="epoch", activation="sigmoid", loss="quadratic", lr=3.0),
    replace(TINY, kind="predict", batch=1),
]
SMALL = Settings(rounds=2, epoch_rounds=2, trials=1, threads=(1,), rest=0.0)


def id_of(job: Job) -> str:
    return f"{job.kind} {job.hidden} {job.loss}"


def checked(name: str, job: Job, what: Material, folder: Path, form: str = "") -> list[float]:
    """What a contender's worker answers to a check."""
    save(what, folder)
    worker = Worker(CATALOGUE[name].module)
    worker.answer({"do": "load", "form": form, "job": json.loads(json.dumps(job.as_dict())), "folder": str(folder)})
    steps = 0 if job.kind == "predict" else reference.steps_to_check(job)
    return worker.answer({"do": "check", "form": form, "steps": steps})["values"]


def test_a_job_goes_through_json() -> None:
    for job in JOBS.values():
        assert from_dict(json.loads(json.dumps(job.as_dict()))) == job


def test_goals_name_contenders_and_every_job_has_some() -> None:
    for name, job in JOBS.items():
        assert job.name == name
        assert job.goals
        assert {goal.against for goal in job.goals} <= {*CATALOGUE, BEST_PEER, ""}
        for goal in job.goals:
            assert not goal.against or goal.against == BEST_PEER or not CATALOGUE[goal.against].left_out(job)


def test_the_jobs_of_the_table() -> None:
    nielsen = JOBS["nielsen"]
    assert (nielsen.rows, nielsen.widths, nielsen.lr) == (50_000, (784, 30, 10), 3.0)
    assert Goal("torch", ratio=1 / 12) in nielsen.goals
    assert JOBS["mlp1024"].shorter(0.01).steps == 1
    assert all(job.rows <= 60_000 for job in JOBS.values() if not job.made)
    assert [D * M for _, D, M in sizes(JOBS["lenet"])] == [math.prod(shape) for shape in LENET[::2]]


def test_material_is_the_same_each_time_and_survives_its_files(tmp_path: Path) -> None:
    what = material(TINY)
    save(what, tmp_path)
    for other in (material(TINY), load(tmp_path)):
        arrays = zip((what.x, what.labels, *what.params), (other.x, other.labels, *other.params), strict=True)
        for mine, theirs in arrays:
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
    assert what.x.shape == (32, 6)
    assert [p.shape for p in what.params] == [(6, 5), (5,), (5, 3), (3,)]


def test_quadrants_have_their_labels() -> None:
    what = material(JOBS["quadrant"].shorter(0.01))
    assert all(label == 2 * (x > 0) + (y > 0) for (x, y), label in zip(what.x, what.labels, strict=True))


@pytest.mark.parametrize("job", [TINY, KINDS[1], KINDS[3]], ids=id_of)
def test_the_references_gradients_are_those_of_finite_differences(job: Job) -> None:
    what = material(job)
    x, t = what.x[:4].astype(float), np.eye(3)[what.labels[:4]]
    params = [p.astype(float) for p in what.params]
    for p, slopes in zip(params, reference.gradients(job, params, x, t), strict=True):
        for place in np.ndindex(p.shape):
            kept, ends = p[place], []
            for shift in (1e-6, -1e-6):
                p[place] = kept + shift
                ends.append(reference.loss(job, params, x, t))
            p[place] = kept
            assert slopes[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("job", KINDS, ids=id_of)
@pytest.mark.parametrize("name", [*JUDGED, "bare_numpy"])
def test_contenders_agree_with_the_reference(name: str, job: Job, tmp_path: Path) -> None:
    what = material(job)
    expected = reference.check_values(job, what)
    for form in CATALOGUE[name].forms(job):
        assert checked(name, job, what, tmp_path, form) == pytest.approx(expected, abs=1e-5)
    if job.kind != "predict":
        assert len({round(value, 3) for value in expected}) == 3  # so that taking no steps would be noticed


def test_the_program_of_the_book_agrees_with_the_reference(tmp_path: Path) -> None:
    job = KINDS[4]
    what = material(job)
    assert checked("network_py", job, what, tmp_path) == pytest.approx(reference.check_values(job, what), abs=1e-5)


@pytest.mark.parametrize("name", JUDGED)
def test_tinynn_learns_on_the_convolutional_job(name: str, tmp_path: Path) -> None:
    job = replace(JOBS["lenet"], batch=8, steps=4, made=True, lr=0.001)
    before, once, after = checked(name, job, material(job), tmp_path)
    assert before > once != after > 0


def test_a_run_starts_from_the_first_weights(tmp_path: Path) -> None:
    save(material(TINY), tmp_path)
    worker = Worker("tinynn_fit")
    worker.answer({"do": "load", "form": "", "job": TINY.as_dict(), "folder": str(tmp_path)})
    contender: Any = worker.loaded[""]
    params, ends = contender.net.storage.params, []
    for seed in (1, 1, 2):
        answer = worker.answer({"do": "run", "form": "", "seed": seed, "steps": 8})
        assert 0 < answer["seconds"] <= answer["call_seconds"]
        ends.append(params.copy())
    np.testing.assert_array_equal(ends[0], ends[1])
    assert (ends[0] != ends[2]).any()  # the epoch is shuffled by its seed


def test_unknown_requests_are_refused_and_a_job_can_be_dropped(tmp_path: Path) -> None:
    save(material(TINY), tmp_path)
    worker = Worker("bare_numpy")
    worker.answer({"do": "load", "form": "", "job": TINY.as_dict(), "folder": str(tmp_path)})
    assert worker.answer({"do": "drop"}) == {}
    assert not worker.loaded
    with pytest.raises(ValueError, match="unknown request"):
        worker.answer({"do": "nothing"})


def test_one_thread_is_one_thread_everywhere() -> None:
    one, two, own = thread_environment(1), thread_environment(2), thread_environment(None)
    assert {one[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NPROC")} == {"1"}
    assert two["OPENBLAS_NUM_THREADS"] == "2"
    assert "--xla_cpu_multi_thread_eigen=false" in (one["XLA_FLAGS"] or "")
    assert "XLA_FLAGS" not in two
    assert set(own.values()) == {None}


def test_a_process_without_a_number_of_threads_is_told_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert footprint.process("-c", "import os; print('OPENBLAS_NUM_THREADS' in os.environ)").strip() == "False"
    assert "OPENBLAS_NUM_THREADS" in os.environ


@pytest.mark.parametrize("threads", [1, 2, None])
def test_no_process_is_held_to_the_code_for_another_processor(threads: int | None) -> None:
    assert {"OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"} <= set(machine.FORCING)
    assert {name: thread_environment(threads)[name] for name in machine.FORCING} == dict.fromkeys(machine.FORCING)


def test_a_program_starts_again_without_what_forces_a_processor() -> None:
    program = "from benchmarks import machine; machine.restart_unforced(); print('now with', machine.blas()['kernels'])"
    command, there = [sys.executable, "-c", program], {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1"}
    given = [there, machine.unforced(there)]
    found = [
        subprocess.run(command, cwd=machine.ROOT, env=env, capture_output=True, text=True, check=True) for env in given
    ]
    assert found[0].stdout == found[1].stdout != ""
    assert found[0].stderr == "started again without OPENBLAS_CORETYPE\n"
    assert found[1].stderr == ""


def test_the_blas_is_named_and_without_threadpoolctl_all_but_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.blas()["name"]
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert machine.blas()["name"]
    assert machine.blas()["kernels"] == ""


def test_a_machine_in_words() -> None:
    about = {"cpu": "Some CPU", "cores": 2, "system": "Linux", "python": "3.11.0"}
    assert machine.in_words(about) == "Some CPU, 2 cores, Linux, Python 3.11.0"
    about["blas"] = {"name": "OpenBLAS", "version": "0.3.31", "kernels": "SkylakeX"}
    assert machine.in_words(about).endswith("Python 3.11.0, NumPy's BLAS: OpenBLAS 0.3.31, SkylakeX kernels")
    about["blas"] = {"name": "accelerate", "version": "", "kernels": ""}
    assert machine.in_words(about).endswith("NumPy's BLAS: accelerate")
    assert machine.in_words(machine.describe())


def test_every_contender_has_its_module_and_a_reason_where_it_takes_no_part() -> None:
    folder = Path(contenders.__file__).parent
    assert {f"{entry.module}.py" for entry in CATALOGUE.values()} == {p.name for p in folder.glob("[!_]*.py")}
    for job in JOBS.values():
        assert not any(CATALOGUE[ours].left_out(job) for ours in JUDGED)
        for entry in CATALOGUE.values():
            assert entry.left_out(job) or entry.forms(job)
    assert "convolutions" in CATALOGUE["sklearn"].left_out(JOBS["lenet"])
    assert "predict" in CATALOGUE["onnxruntime"].left_out(JOBS["quadrant"])


def test_those_without_their_package_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOGUE, "torch", replace(CATALOGUE["torch"], package="no_such_package"))
    names, absent = run.available([OURS, "torch"])
    assert names == [OURS]
    assert absent == {"torch": "the package no_such_package is not installed"}


def test_the_whole_run_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {f"tiny {job.kind}": replace(job, goals=(Goal("bare_numpy", ratio=1e9),)) for job in KINDS[::2]}
    jobs["lenet"] = replace(JOBS["lenet"], batch=2, steps=2, made=True)
    monkeypatch.setattr(run, "JOBS", jobs)
    found = run.results(list(jobs), WITHOUT_PEERS, SMALL, pairs=0, swept=False)
    found = json.loads(json.dumps({"command": "test", "mode": "quick", **found}))
    tiny = found["jobs"]["tiny step"]
    assert list(tiny["contenders"]) == WITHOUT_PEERS
    assert all(len(one["us"]) == 2 and min(one["us"]) > 0 for one in tiny["contenders"].values())
    assert [goal["met"] for goal in tiny["goals"]] == [True]
    assert list(tiny["ratios"]) == list(tiny["goals"][0]["by"]) == [OURS]
    assert tiny["ratios"][OURS].keys() == {"bare_numpy", "gemm_floor"}
    assert found["jobs"]["lenet"]["left_out"] == {"bare_numpy": "is written for dense networks"}
    assert found["jobs"]["lenet"]["goals"][0]["met"] is None
    text = page.markdown(found)
    assert all(f"## {job.title}" in text for job in jobs.values())
    assert "bare NumPy is written for dense networks" in text


def test_calibration_takes_turns_and_is_not_fooled_by_one_fast_run(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, ours = (Trial(*setting, "") for setting in (("bare_numpy", 1), ("bare_numpy", 2), (OURS, None)))
    times = {one: [500.0, 9.0, 9.0, 9.0], two: [5.0, 4.0, 40.0, 40.0], ours: [500.0, 20.0, 21.0, 900.0]}
    asked = []

    def run(crew: Crew, trial: Trial, seed: int, steps: int, rest: float) -> dict[str, float]:
        asked.append(trial)
        return {"us": times[trial][seed]}

    monkeypatch.setattr(measure, "run", run)
    with Crew() as crew:
        found = measure.calibrate(TINY, [one, two, ours], crew, replace(SMALL, trials=3))
    assert found == {
        "bare_numpy": [{"trial": one, "us": 9.0}, {"trial": two, "us": 40.0}],
        OURS: [{"trial": ours, "us": 21.0}],
    }
    assert asked == [ours, two, one, one, two, ours] * 2


def test_a_contender_that_computes_something_else_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "TOLERANCE", -1.0)
    with Crew() as crew, pytest.raises(RuntimeError, match="the same thing on tiny\ntinynn, its own threads, -: value"):
        measure.measure(TINY, [OURS], crew, SMALL)


def test_what_may_fail_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(CATALOGUE["bare_numpy"], module="no_such_module", may_fail=True)
    monkeypatch.setitem(CATALOGUE, "bare_numpy", broken)
    with Crew() as crew:
        found = measure.measure(TINY, [OURS, "bare_numpy"], crew, SMALL)
    assert list(found["contenders"]) == [OURS]
    assert found["left_out"]["bare_numpy"].startswith("failed: ModuleNotFoundError")


def test_what_may_not_fail_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOGUE, "bare_numpy", replace(CATALOGUE["bare_numpy"], module="no_such_module"))
    with Crew() as crew, pytest.raises(RuntimeError, match="bare_numpy could not load tiny"):
        measure.measure(TINY, ["bare_numpy"], crew, SMALL)


def test_a_sweep_in_small_and_its_picture(tmp_path: Path) -> None:
    found = sweep.sweep([OURS], (2, 4), (1,), replace(SMALL, share=0.01))
    assert [(point["width"], point["batch"]) for point in found["points"]] == [(2, 1), (4, 1)]
    assert found["over_width"] == []
    sweep.draw(found, tmp_path / "step_time.png")
    assert (tmp_path / "step_time.png").read_bytes()[:4] == b"\x89PNG"


def test_sizes_of_the_sweep() -> None:
    for width in sweep.WIDTHS:
        for batch in sweep.BATCHES:
            job = sweep.job_of(width, batch)
            assert job.steps >= 10 and job.rows <= 20_000


def test_import_times_and_memory_are_numbers() -> None:
    found = footprint.import_times(1)
    assert found["pairs"] == 1 and found["numpy"]["median"] > 0
    assert 5 < footprint.peak_memory("numpy") < 1000


def test_modules_that_need_no_peer_can_be_imported() -> None:
    for name in WITHOUT_PEERS:
        assert hasattr(importlib.import_module(f"benchmarks.contenders.{CATALOGUE[name].module}"), "Contender")
