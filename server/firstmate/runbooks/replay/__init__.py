"""Replays runs of runbooks over recorded clusters: the cases, how one is played, and which ways of steps are covered.

`firstmate runbooks test` and `evals.replay` use it. Must never ask a live cluster.
"""
