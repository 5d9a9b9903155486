"""The linter of runbooks: what a runbook must be before anybody follows it at night.

`firstmate runbooks lint` and CI call `lint` (`linting.py`). Each check is a module with one function over a parsed
runbook that gives problems with their line. Nothing here asks a cluster or writes a file.
"""
