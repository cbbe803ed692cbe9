"""The test table: one row for each kind of layer and loss, from which every test that holds for all of them draws.

To add a layer, add its row to the file of its family. A test makes sure that no public layer is without one.
"""

from table import activations, images, losses, merge, shared
from table.row import Case, Row

__all__ = ["ROWS", "Case", "Row"]

ROWS: dict[str, Row] = {row.name: row for family in (shared, activations, merge, images, losses) for row in family.ROWS}
