"""From observed objects to root causes: facts, rules, the engine that links findings, and the report.

Deterministic and without I/O but for `observe`: the same objects at the same moment give the same bytes.
"""
