"""Benchmarks: what firstmate costs to start, to describe to a model, and to ask; with the bars that it has to meet."""
