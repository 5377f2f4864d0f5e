"""Run ``python -m wbc_utils`` as ``wbc``."""

from wbc_utils.cli import main

main()
