"""Does a layer that somebody wrote keep every rule? `check_layer` asks; `checks` makes each rule a test for pytest."""

from tinynn.testing.compliance import Check, check_layer, checks
from tinynn.testing.report import ComplianceError, Outcome, Report

__all__ = ["Check", "ComplianceError", "Outcome", "Report", "check_layer", "checks"]
