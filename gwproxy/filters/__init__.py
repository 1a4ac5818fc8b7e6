"""Filters: the seam (`api`), how they are found (`registry`) and run (`chain`), and one file for each built-in one."""
