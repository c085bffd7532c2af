"""Verbs of the command line, one module each with ``run(words) -> exit code``; its docstring is its ``--help``."""
