"""What a reader sees: figures with caption and alternative text, tables with caption and n, checks and claims."""

from wbc_utils.figures.show import Link, Struck, show, show_checks, show_claims, show_sources, table, use_style

__all__ = ["Link", "Struck", "show", "show_checks", "show_claims", "show_sources", "table", "use_style"]
