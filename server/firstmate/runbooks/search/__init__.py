"""Search of the runbooks: from what somebody sees or guesses to the runbook that treats it.

`engine.py` is the whole of it for callers: exact links first (`links.py`), then lexical search (`lexical.py`) and,
where the extra `semantic` is installed, meaning (`semantic.py`), weighed by `ranking.py`, which also decides that
nothing fits. What is searched is made by `corpus.py` and cut into terms by `analysis.py`. Everything is imported when
used: a server that starts loads none of it. Must never let a query into SQL as anything but a value.
"""
