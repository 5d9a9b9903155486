"""The lab: a real Kubernetes control plane as plain processes on 127.0.0.1, with nodes and pods simulated by kwok.

`evals.lab.lab.Lab` is the door for tests, `python -m evals.lab` the one for people. Nothing in here is part of the
product, and the product must never import it: the lab writes to its cluster as administrator.
"""
