"""Text -> sections with line numbers -> frozen attrs. Knows no Twisted.

`load` reads a file or raises `ConfigErrors` with all its mistakes; `show` writes what was loaded.
"""

from gwproxy.config.effective import show
from gwproxy.config.loader import gateway_options, load, parse
from gwproxy.config.mistakes import ConfigErrors, ConfigMistake, Mistake, Place
from gwproxy.config.model import Config

__all__ = ["Config", "ConfigErrors", "ConfigMistake", "Mistake", "Place", "gateway_options", "load", "parse", "show"]
