"""The commands of `gwproxy`: a module each, with `add()` for the parser and the function that runs it."""
