"""Runbooks: the document (`document.py`) and the library that finds it (`library.py`).

A runbook is `runbooks/<slug>/SKILL.md`: an Agent Skill whose fenced blocks a machine can read. Nothing here executes
anything.
"""
