"""Text -> sections with line numbers -> frozen attrs. Knows no Twisted."""

from gwproxy.config.mistakes import ConfigErrors, ConfigMistake, Mistake, Place
from gwproxy.config.model import Config

__all__ = ["Config", "ConfigErrors", "ConfigMistake", "Mistake", "Place"]
