"""For those who write layers: `check_layer` asks whether one keeps every rule, `checks` makes each a test for pytest.

`FakeDevice` is a backend with the rules of a GPU, for machines that have none.
"""

from tinynn.testing.compliance import Check, check_layer, checks
from tinynn.testing.fake_device import FakeDevice
from tinynn.testing.report import ComplianceError, Outcome, Report

__all__ = ["Check", "ComplianceError", "FakeDevice", "Outcome", "Report", "check_layer", "checks"]
