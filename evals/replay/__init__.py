"""Replay cases of runbooks (`<slug>/<case>.yaml`), the recordings that they run over, and what makes both.

`python -m evals.replay`; `firstmate runbooks test` plays them. Must never write anywhere else.
"""
