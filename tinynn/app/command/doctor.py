"""`tinynn doctor`: what this machine has, whether backend="cupy" works, and the line that installs what is missing."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tinynn.app.command.output import add_json, beside_json, write_json

if TYPE_CHECKING:
    from tinynn.app.command.cuda_driver import Driver
    from tinynn.app.command.doctor_facts import Facts

__all__ = ["Diagnosis", "Item", "add", "diagnose", "report"]

OK, MISSING, WRONG, ASIDE = "ok", "missing", "wrong", "-"
"""The verdicts; the last is for what decides nothing here."""

OLDEST = 12
"""The oldest major version of CUDA that CuPy 14 is made for."""

LEAST_CUPY = 14
CAPABILITY = {12: (5, 0), 13: (7, 5)}
"""The least compute capability that each major version of CUDA compiles for."""

DRIVERS = {12: "525", 13: "580"}
"""The branch of the driver with which each major version of CUDA began."""

LIBRARIES = ("NVRTC", "cuBLASLt")  # as `doctor_facts` calls them

STAGES = {"kernel": "kernel", "graph": "captured graph", "step": "training step"}
DONE = {
    "kernel": "CuPy compiles one and runs it",
    "graph": "a graph of kernels is captured and replayed",
    "step": "captured steps of fit agree with NumPy's",
}


@dataclass(frozen=True)
class Item:
    """A line of the report."""

    name: str
    verdict: str
    text: str


@dataclass
class Diagnosis:
    """`commands`: what to do, in this order. `gpu`: whether there is one to be used."""

    items: list[Item] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    gpu: bool = False

    def say(self, name: str, verdict: str, text: str, *commands: str) -> bool:
        """Adds a line; whether it is well."""
        self.items.append(Item(name, verdict, text))
        self.commands += [command for command in commands if command not in self.commands]
        return verdict not in (MISSING, WRONG)

    @property
    def code(self) -> int:
        """The exit code: 0 where backend="cupy" would work or there is no GPU for it, 1 where something is amiss."""
        return int(any(item.verdict in (MISSING, WRONG) for item in self.items))

    @property
    def conclusion(self) -> str:
        """All of it in one line."""
        if self.code:
            return 'backend="cupy" does not work here yet.'
        if self.gpu:
            return 'backend="cupy" works here.'
        return 'There is no GPU to be used; backend="numpy" and backend="llvm" need none.'


def diagnose(facts: Facts) -> Diagnosis:
    """What the facts mean."""
    found = Diagnosis()
    found.say("Python", OK, facts.python)
    found.say("NumPy", OK, facts.numpy)
    found.say("processors", OK, f"{facts.processors} for this process")
    without = 'not installed; for backend="llvm": pip install "tinynn-xp[llvm]"'
    found.say("llvmlite", OK if facts.llvmlite else ASIDE, facts.llvmlite or without)
    judge_driver(found, facts)
    if facts.driver is None or not found.gpu or found.code:
        aside(found, facts)
    else:
        major = judge_cupy(found, facts, facts.driver)
        if major is not None and judge_libraries(found, facts, major):
            judge_trial(found, facts, major)
    return found


def judge_driver(found: Diagnosis, facts: Facts) -> None:
    """Whether there is a GPU, and a driver that CuPy can work with."""
    driver = facts.driver
    if driver is None:
        if not facts.card:
            found.say("NVIDIA driver", ASIDE, "there is none, and no NVIDIA card was found")
            return
        text = "there is none, though the machine has an NVIDIA card"
        what = "install NVIDIA's driver, or start the container with its GPUs (docker run --gpus all)"
        found.say("NVIDIA driver", MISSING, text, what)
        return
    own = f"{facts.driver_version}, " if facts.driver_version else ""
    text = f"{own}supports CUDA up to {driver.cuda // 1000}.{driver.cuda % 1000 // 10}"
    if driver.problem:
        what = "restart the machine, and if that does not help install NVIDIA's driver anew"
        found.say("NVIDIA driver", WRONG, f"{text}, but fails: {driver.problem}", what)
        return
    if not driver.gpus:
        found.say("NVIDIA driver", ASIDE, f"{text}, but finds no GPU")
        return
    found.gpu = True
    if driver.cuda // 1000 < OLDEST:
        update = f"update NVIDIA's driver, to {DRIVERS[OLDEST]} or newer"
        found.say("NVIDIA driver", WRONG, f"{text}, where CuPy {LEAST_CUPY} needs {OLDEST}.0", update)
    else:
        found.say("NVIDIA driver", OK, text)
    for number, gpu in enumerate(driver.gpus):
        text = f"{gpu.name}, compute capability {'.'.join(map(str, gpu.capability))}, {gpu.memory / 2**30:.1f} GiB"
        if gpu.capability >= CAPABILITY[OLDEST]:
            found.say(f"GPU {number}", OK, text)
        elif number:  # nobody has to use it
            found.say(f"GPU {number}", ASIDE, f"{text}: too old for CUDA {OLDEST}")
        else:
            what = 'choose another GPU by CUDA_VISIBLE_DEVICES, or build with backend="numpy"'
            found.say(f"GPU {number}", WRONG, f"{text}: too old for CUDA {OLDEST}", what)


def aside(found: Diagnosis, facts: Facts) -> None:
    """Which CuPy is installed, where nothing can be done with it; two spoil each other everywhere."""
    if len(facts.wheels) > 1:
        found.say("CuPy", WRONG, spoiled(facts), remove(facts))
    else:
        found.say("CuPy", ASIDE, listed(facts) or "not installed")


def judge_cupy(found: Diagnosis, facts: Facts, driver: Driver) -> int | None:
    """CUDA's major version for which CuPy is installed; None where it cannot be used, and the reason is said."""
    fitting = fitting_major(driver)
    install = f'pip install "{extra(facts, fitting)}"'
    if not facts.wheels:
        found.say("CuPy", MISSING, f"not installed; this driver takes that for CUDA {fitting}", install)
        return None
    if len(facts.wheels) > 1:
        # What is left of their folder after one of them is uninstalled does not work either.
        found.say("CuPy", WRONG, spoiled(facts), remove(facts), install)
        return None
    name, number = next(iter(facts.wheels.items()))
    match = re.fullmatch(r"cupy-cuda(\d+)x", name)
    if name != "cupy" and not match:
        found.say("CuPy", WRONG, f"{listed(facts)} is not for this driver", remove(facts), install)
        return None
    if int(number.split(".")[0]) < LEAST_CUPY:
        renew = f'pip install --upgrade "{name}>={LEAST_CUPY}"'
        found.say("CuPy", WRONG, f"{listed(facts)} is older than {LEAST_CUPY}", renew)
        return None
    if not match:
        found.say("CuPy", OK, f"{listed(facts)}, built on some machine for the CUDA that it had")
        there = [m for m in (fitting, OLDEST) if all((name, m) in facts.libraries for name in LIBRARIES)]
        return there[0] if there else fitting
    major = int(match[1])
    if major > driver.cuda // 1000:
        newer = f"or update NVIDIA's driver, to {DRIVERS.get(major, 'a newer branch')} or newer, and keep {name}"
        found.say("CuPy", WRONG, f"{listed(facts)} needs a driver for CUDA {major}", remove(facts), install, newer)
        return None
    if driver.gpus[0].capability < CAPABILITY.get(major, (0, 0)):
        found.say("CuPy", WRONG, f"{listed(facts)} does not compile for a GPU this old", remove(facts), install)
        return None
    found.say("CuPy", OK, f"{listed(facts)}, fits the driver")
    return major


def listed(facts: Facts) -> str:
    return " and ".join(f"{name} {number}" for name, number in facts.wheels.items())


def spoiled(facts: Facts) -> str:
    return f"{listed(facts)} lie in one folder and spoil each other"


def remove(facts: Facts) -> str:
    return f"pip uninstall --yes {' '.join(facts.wheels)}"


def fitting_major(driver: Driver) -> int:
    """The newest CUDA for which there is an extra, and which the driver and the GPU can run."""
    able = [m for m, least in CAPABILITY.items() if m <= driver.cuda // 1000 and driver.gpus[0].capability >= least]
    return max(able, default=OLDEST)


def extra(facts: Facts, major: int) -> str:
    """The extra that brings CuPy, with the toolkit's libraries where these are not there."""
    there = all((name, major) in facts.libraries for name in LIBRARIES)
    return f"tinynn-xp[cuda{major}{'' if there else '-ctk'}]"


def judge_libraries(found: Diagnosis, facts: Facts, major: int) -> bool:
    """Whether what compiles kernels and what multiplies matrices is there."""
    install = f'pip install "tinynn-xp[cuda{major}-ctk]"'
    well = True
    for name in LIBRARIES:
        place = facts.libraries.get((name, major))
        text = place or f"not found for CUDA {major}, neither as a wheel nor by CUDA_PATH nor in the system"
        well &= found.say(name, OK if place else MISSING, text, *(() if place else (install,)))
    return well


def judge_trial(found: Diagnosis, facts: Facts, major: int) -> None:
    """What was tried on the GPU."""
    anew = f'pip install --force-reinstall "tinynn-xp[cuda{major}-ctk]"'
    for name, title in STAGES.items():
        if name not in facts.tried:
            continue
        reason = facts.tried[name]
        found.say(title, WRONG if reason else OK, reason or DONE[name], *((anew,) if reason else ()))


def report(found: Diagnosis) -> str:
    """A line for each item, aligned; then what to do, and the conclusion."""
    names, verdicts = (
        max(map(len, column)) for column in zip(*((i.name, i.verdict) for i in found.items), strict=True)
    )
    lines = [f"{item.name:<{names}}  {item.verdict:<{verdicts}}  {item.text}" for item in found.items]
    if found.commands:
        lines += ["", "To do:", *(f"  {command}" for command in found.commands)]
    return "\n".join([*lines, "", found.conclusion])


def looked_up() -> Facts:
    """The facts of this machine."""
    from tinynn.app.command.doctor_facts import gather  # not at the top: what looks takes 15 ms to import

    return gather()


def add(commands: Any, facts: Callable[[], Facts] = looked_up) -> None:
    """Adds the parser of this command. `facts`: where they come from."""
    parser = commands.add_parser(
        "doctor",
        help='what has this machine, and does backend="cupy" work?',
        description="Shows interpreter, NumPy, driver, GPUs, CuPy and CUDA's libraries, and what to install.",
        epilog="Example: tinynn doctor --json -\n"
        'Exit code: 0 backend="cupy" works, or there is no GPU to be used; 1 something is missing or wrong.',
    )
    add_json(parser)

    def run(options: argparse.Namespace) -> int:
        found = diagnose(facts())
        with beside_json(options):
            print(report(found))
        write_json(options, {"ok": not found.code, "conclusion": found.conclusion, **asdict(found)})
        return found.code

    parser.set_defaults(run=run)
