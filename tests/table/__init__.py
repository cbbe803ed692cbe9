"""The test table: one row for each kind of layer and loss, from which every test that holds for all of them draws.

To add a layer, add its row to the file of its family. A test makes sure that no public layer is without one.
"""

from table import (
    activations,
    embedding,
    images,
    losses,
    merge,
    normalisation,
    shape,
    shared,
)
from table.row import Case, Row

__all__ = ["ROWS", "Case", "Row"]

FAMILIES = (
    shared,
    activations,
    images,
    normalisation,
    embedding,
    shape,
    merge,
    losses,
)
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}
