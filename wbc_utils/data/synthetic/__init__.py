"""Miniature versions of every data set, drawn in the true on-disk format, with their ground truth.

They show that the pipeline works, not how well it works on blood.
"""

from wbc_utils.data.synthetic.fields import Drawn, Field, draw_cell, draw_field
from wbc_utils.data.synthetic.looks import LOOKS, Look
from wbc_utils.data.synthetic.morphology import Morphology, sample
from wbc_utils.data.synthetic.tree import VERSION, ensure, planted

__all__ = [
    "LOOKS",
    "VERSION",
    "Drawn",
    "Field",
    "Look",
    "Morphology",
    "draw_cell",
    "draw_field",
    "ensure",
    "planted",
    "sample",
]
