"""Data sets: where they are, tidy tables from their files, what is in them twice, and how they are split."""
