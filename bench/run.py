"""`python bench/run.py` is `python -m bench`, from whatever folder."""

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)
runpy.run_module("bench", run_name="__main__")
