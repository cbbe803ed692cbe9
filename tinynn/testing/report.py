"""What came of the checks: a table to read, a dictionary to count with."""

from __future__ import annotations

import textwrap
import unittest
from dataclasses import asdict, dataclass
from typing import Any

from tinynn.errors import TinynnError

__all__ = ["ComplianceError", "NotApplicable", "Outcome", "Report"]


class ComplianceError(TinynnError, AssertionError):
    """A layer that breaks a rule; raised by `check_layer`, it carries the whole `report`."""

    report: Report | None = None


class NotApplicable(unittest.SkipTest):
    """A check that cannot be made of this layer, and why; a SkipTest, so that pytest counts it as skipped."""


@dataclass(frozen=True)
class Outcome:
    """What came of one check. `status`: passed, failed or skipped; `code`: where in the layer's file it failed."""

    name: str
    about: str
    status: str
    seconds: float
    message: str = ""
    where: str | None = None
    expected: str | None = None
    got: str | None = None
    fix: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one layer; `str(report)` is a table."""

    layer: str
    shapes: tuple[tuple[int, ...], ...]
    backend: str
    outcomes: tuple[Outcome, ...]

    def of(self, status: str) -> list[Outcome]:
        """The outcomes of that status: passed, failed or skipped."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.of("failed")

    @property
    def percent(self) -> float:
        """How many of the checks that apply were passed, of a hundred."""
        passed, failed = len(self.of("passed")), len(self.of("failed"))
        return 100 * passed / (passed + failed) if passed else 0.0

    def raise_failures(self) -> None:
        """Errors: ComplianceError that names every check that failed."""
        failed = self.of("failed")
        if failed:
            error = ComplianceError(
                f"{len(failed)} of {len(failed) + len(self.of('passed'))} checks failed\n"
                + "\n".join(f"\n{title(outcome)}\n{details(outcome)}" for outcome in failed),
                where=self.layer,
                expected="a layer that keeps every rule",
                got=", ".join(outcome.name for outcome in failed),
                fix="correct the first one first: others may follow from it",
            )
            error.report = self
            raise error

    def as_dict(self) -> dict[str, Any]:
        """The same as numbers and texts, for JSON."""
        passed, failed, skipped = (len(self.of(status)) for status in ("passed", "failed", "skipped"))
        score = {"passed": passed, "total": passed + failed, "skipped": skipped, "percent": round(self.percent, 1)}
        return {
            "layer": self.layer,
            "shapes": [list(shape) for shape in self.shapes],
            "backend": self.backend,
            "ok": self.ok,
            "score": score,
            "checks": [asdict(outcome) for outcome in self.outcomes],
        }

    def __str__(self) -> str:
        lines = [f"{self.layer}, {' and '.join(map(str, self.shapes))}, {self.backend}"]
        messages: dict[str, str] = {}
        for outcome in self.outcomes:
            text = outcome.message if outcome.status == "skipped" else outcome.about
            lines.append(f"  {title(outcome)}{text}")
            if outcome.status == "failed":
                first = messages.setdefault(outcome.message, outcome.name)
                told = details(outcome) if first == outcome.name else f"as above: {first}"
                lines.append(textwrap.indent(told, " " * 10))
        score = self.as_dict()["score"]
        lines.append(f"{score['passed']} of {score['total']} checks passed, {score['skipped']} skipped")
        return "\n".join(lines)


def title(outcome: Outcome) -> str:
    """The status, loud where it is bad news, and the name, in columns."""
    status = outcome.status.upper() if outcome.status == "failed" else outcome.status
    return f"{status:<8}{outcome.name:<24}"


def details(outcome: Outcome) -> str:
    """The message of a failure with a line for each of its parts."""
    parts = {name: getattr(outcome, name) for name in ("where", "expected", "got", "fix", "code")}
    return "\n".join([outcome.message, *(f"  {name + ':':<10}{part}" for name, part in parts.items() if part)])
