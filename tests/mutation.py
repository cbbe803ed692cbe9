"""How many small changes of the code the tests notice: `make mutation` writes docs/mutation.md, table and survivors.

mutmut makes the changes (`<` to `<=`, a number one larger, an argument dropped ...), each in a copy under out/mutation,
and runs the tests of the changed file's group. A change that no test notices has survived: a hole in the tests, or a
change that changes nothing. Where a group has more changes than `--sample`, so many of them are drawn by `--seed`.

Not run are changes of memory or words alone, told by the syntax tree: the texts of errors, which the tests of misuse
read, and where a result lies (`out=`, `casting=`, the name of scratch memory), which no result depends on.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "mutation.md"
FOLDER = ROOT / "out" / "mutation"
# Functions that only raise, or make words for those that do.
TELLERS = {"complaint", "misfit", "_misfit", "plural", "unknown", "refuse", "refuse_number", "refuse_rows"}
# Functions whose second argument is what they check, in words.
CHECKS = {"finite_number", "positive_integer", "whole_number"}
# Functions whose second argument is the name of scratch memory.
NAMED = {"in_rows", "inside", "mean_over", "reshaped"}
MEMORY, WORDS = {"out", "casting"}, {"what", "expected", "got", "fix"}  # arguments
KILLED, SURVIVED = {1, 3}, {0, 5, 33}  # exit codes of mutmut's children; 5 and 33: no test comes by. Others: too long


# Tests of many seconds, or in processes of their own, where mutmut's changes are not made.
SLOW = (
    "tests/test_checkpoints.py::test_from_each_of_200_steps_a_run_goes_on_to_the_bit",
    "tests/test_model_file.py::test_the_same_network_makes_the_same_bytes_in_every_process",
    "tests/test_faults.py::test_sigterm_writes_a_checkpoint_and_then_takes_its_course",
    "tests/test_faults.py::test_without_a_handler_sigterm_ends_the_process",
    "tests/test_faults.py::test_a_limit_on_the_size_of_files",
)


class Group(NamedTuple):
    """Source files and the tests that are to notice their changes, both as patterns below the checkout."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


def named(folder: str, names: str) -> tuple[str, ...]:
    """`folder/name.py` for each of the names."""
    return tuple(f"{folder}{name}.py" for name in names.split())


GROUPS = {
    "checkpoint": Group(
        named("tinynn/training/", "checkpoint keeper packing course snapshot")
        + named("tinynn/network/", "structure settings restoring model_file")
        + named("tinynn/data/", "archive"),
        named(
            "tests/test_",
            "archive checkpoint_details checkpoints faults file_details hostile_models model_file restoring structure",
        ),
    ),
    "optim": Group(
        ("tinynn/optim/*.py",),
        named(
            "tests/test_",
            "adaptive clipping optim optimizer_details optimizer_settings optimizer_state schedules update_verbs",
        ),
    ),
    "losses": Group(("tinynn/losses/*.py",), named("tests/test_", "losses loss_details sklearn_parity")),
    "data": Group(
        ("tinynn/data/[!a]*.py",),
        named("tests/test_", "datasets file_details hostile_files idx shards text_digits"),
    ),
    "layers": Group(
        ("tinynn/layers/*.py",),
        named(
            "tests/test_",
            "activations convolution dropout embedding layer layer_formulas normalisation numerics one_step pooling"
            " shape_layers",
        ),
    ),
}


class Mutant(NamedTuple):
    """One change: its name with mutmut, the file, the function, and its source before and after."""

    name: str
    file: str
    function: str
    before: str
    after: str


def copied(group: Group, to: Path) -> None:
    """The checkout without its history, with mutmut's settings for the group."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    shutil.rmtree(to, ignore_errors=True)
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    tests = [name for name in group.tests if (to / name).exists()]
    lines = {
        "source_paths": ["tinynn/"],
        "only_mutate": list(group.sources),
        "also_copy": ["tinynn", "tests", "benchmarks", "examples", "docs", "README.md", "Makefile"],
        "pytest_add_cli_args_test_selection": tests,
        "pytest_add_cli_args": [f"--deselect={test}" for test in SLOW]
        + ["-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:randomly"],
        "timeout_multiplier": 10,
        "timeout_constant": 3,
    }
    with (to / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.mutmut]\nprocess_isolation = "forkserver"\ntrack_dependencies = false\n')
        file.writelines(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    # An example that fails is enough; making it small takes longer than finding it.
    with (to / "tests" / "conftest.py").open("a", encoding="utf-8") as file:
        file.write(
            "\nimport sys\n\nfrom hypothesis import Phase\n\n"
            "sys.setrecursionlimit(4000)\n"  # each call of a function that mutmut changes is two more
            'settings.register_profile("mutation", settings.get_profile("tinynn"),'
            " phases=[Phase.explicit, Phase.generate])\n"
            'settings.load_profile("mutation")\n'
        )


def mutants_of(group: Group, folder: Path) -> list[Mutant]:
    """All changes that mutmut makes in the files of a group."""
    mutate_file_contents = import_module("mutmut.mutation.file_mutation").mutate_file_contents
    names = import_module("mutmut.utils.format_utils")

    found = []
    for path in sorted({path for pattern in group.sources for path in folder.glob(pattern)}):
        file = path.relative_to(folder)
        made = mutate_file_contents(str(file), path.read_text(encoding="utf-8"))
        lines = made.code.split("\n")

        def source(name: str, made: Any = made, lines: list[str] = lines) -> str:
            span = made.line_span_by_function_name[name]
            return textwrap.dedent("\n".join(lines[span.start - 1 : span.end])).replace(name, "f", 1)

        for name in made.mutant_names:
            full = names.get_mutant_name(file, name)
            function, owner = names.orig_function_and_class_names_from_key(full)
            before = source(name.rpartition("__mutmut_")[0] + "__mutmut_orig")
            label = f"{owner}.{function}" if owner else function
            found.append(Mutant(full, file.as_posix(), label, before, source(name)))
    return found


def changed(a: Any, b: Any) -> list[Any] | None:
    """The nodes of tree a from its root to the one that is different in b; None where none is."""
    if type(a) is not type(b):
        return [a]
    if isinstance(a, ast.AST):
        for field in a._fields:
            below = changed(getattr(a, field, None), getattr(b, field, None))
            if below is not None:
                return [a, *below]
        return None
    if isinstance(a, list):
        pairs = [changed(x, y) for x, y in zip(a, b, strict=False)]
        at = next((i for i, below in enumerate(pairs) if below is not None), min(len(a), len(b)))
        if len(a) == len(b):
            return None if at == len(a) else pairs[at]
        return [a[at]]  # the element that was dropped
    return None if a == b else [a]


def is_memory_or_words(mutant: Mutant) -> bool:
    """Whether a change is one of error texts, or of where a result lies, and of nothing else."""
    path = changed(ast.parse(mutant.before), ast.parse(mutant.after))
    if path is None:
        return True  # an annotation or a comment
    of_numpy = False
    for node, below in zip(path, [*path[1:], None], strict=True):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Call):
            parts = ast.unparse(node.func).split(".")
            of_numpy = "np" in parts or "xp" in parts
            place = 0 if parts[0] in ("self", "layer") and parts[-1] in ("empty", "empty_like") else 1
            scratch = (place == 0 or parts[-1] in NAMED) and below in node.args[place : place + 1]
            if parts[-1].endswith("Error") or parts[-1] in TELLERS or scratch:
                return True
            if parts[-1] in CHECKS and below in node.args[1:2]:
                return True
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in WORDS | {"where"}:
            return True
        if isinstance(node, ast.Attribute) and node.attr == "where":
            return True
        if isinstance(node, ast.keyword):
            whole = node is path[-1] or below is path[-1]
            if node.arg in WORDS or (node.arg == "where" and not of_numpy) or (node.arg in MEMORY and whole):
                return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            return True
    return False


def tried(group: Group, folder: Path, mutants: list[Mutant], children: int) -> dict[str, int | None]:
    """Runs mutmut; its exit code for each of the mutants."""
    command = [str(Path(sys.executable).with_name("mutmut")), "run", f"--max-children={children}"]
    with (folder / "mutmut.log").open("wb") as log:
        command += [mutant.name for mutant in mutants]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log)
    if done.returncode:
        raise SystemExit(f"mutmut failed: {folder / 'mutmut.log'}")
    codes: dict[str, int | None] = {}
    for file in {mutant.file for mutant in mutants}:
        meta = json.loads((folder / "mutants" / f"{file}.meta").read_text(encoding="utf-8"))
        codes |= meta["exit_code_by_key"]
    return {mutant.name: codes[mutant.name] for mutant in mutants}


def lines_of(mutant: Mutant) -> str:
    """The first line that was changed, before and after."""
    before, after = mutant.before.split("\n"), mutant.after.split("\n")
    at = next((i for i, (x, y) in enumerate(zip(before, after, strict=False)) if x != y), len(after) - 1)
    gone = before[at].strip()
    come = "(gone)" if at + 1 < len(before) and after[at] == before[at + 1] else after[at].strip()
    return f"`{gone}` -> `{come}`"


def told(mutant: Mutant) -> str:
    """A mutant as the page lists it."""
    return f"{mutant.file}, {mutant.function}: {lines_of(mutant)}"


def row(name: str, sample: int, seed: int, children: int, before: dict[str, Any] | None) -> dict[str, Any]:
    """One group, from the copy to the counts; only the survivors of `before`, where that is given."""
    group, folder = GROUPS[name], FOLDER / name
    if before is not None:
        sample, seed = before["sample"], before["seed"]
    copied(group, folder)
    with contextlib.chdir(folder):
        mutants = mutants_of(group, folder)
    real = [mutant for mutant in mutants if not is_memory_or_words(mutant)]
    drawn = real if len(real) <= sample else random.Random(seed).sample(real, sample)
    tests = drawn if before is None else [mutant for mutant in drawn if told(mutant) in before["survivors"]]
    if before is not None and (len(mutants), len(mutants) - len(real)) != (before["mutants"], before["words"]):
        raise SystemExit(f"{name}: the code has changed since; run it without --again")
    print(f"{name}: {len(mutants)} mutants, {len(real)} of results, {len(tests)} of them run", flush=True)
    codes = tried(group, folder, tests, children)
    left = sorted(told(mutant) for mutant in tests if codes[mutant.name] in SURVIVED)
    late = sum(code not in KILLED | SURVIVED for code in codes.values()) + (before["timeout"] if before else 0)
    return {
        "group": name,
        "mutants": len(mutants),
        "words": len(mutants) - len(real),
        "run": len(drawn),
        "killed": len(drawn) - late - len(left),
        "timeout": late,
        "survived": len(left),
        "survivors": left,
        "sample": sample,
        "seed": seed,
    }


HEAD = f"""# Which small changes of the code the tests notice

Written by `make mutation`. {" ".join((__doc__ or "").split(chr(10) * 2)[1].split())}

{" ".join((__doc__ or "").split(chr(10) * 2)[2].split())}

| group | mutants | memory or words | run | killed | timeout | survived | killed of run |
|---|---|---|---|---|---|---|---|
"""


def page(rows: list[dict[str, Any]]) -> str:
    """The table, and the survivors by name."""
    columns = ("group", "mutants", "words", "run", "killed", "timeout", "survived")
    table = [" | ".join(str(r[c]) for c in columns) + f" | {100 * r['killed'] / r['run']:.1f} %" for r in rows]
    lists = [f"\n## Survivors: {r['group']}\n\n" + "".join(f"- {line}\n" for line in r["survivors"]) for r in rows]
    return HEAD + "".join(f"| {line} |\n" for line in table) + "".join(lists)


def main() -> None:
    """Runs the groups and writes the page; a group that is not run keeps its last row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--group", action="append", choices=GROUPS, help="all of them if none is named")
    parser.add_argument("--sample", type=int, default=250, help="mutants to run in each group (250)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--again", action="store_true", help="run the last survivors only, after tests were added")
    given = parser.parse_args()
    for name in given.group or GROUPS:
        file = FOLDER / f"{name}.json"
        before = json.loads(file.read_text(encoding="utf-8")) if given.again else None
        counts = row(name, given.sample, given.seed, given.children, before)
        file.write_text(json.dumps(counts, indent=1), encoding="utf-8")
    rows = [json.loads(file.read_text(encoding="utf-8")) for n in GROUPS if (file := FOLDER / f"{n}.json").exists()]
    PAGE.write_text(page(rows), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
