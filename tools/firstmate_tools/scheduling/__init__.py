"""The scheduler's predicates, run once more over plain objects: which node would take a pod, and what is in its way.

Pure functions; nothing here reads a cluster or knows of findings. Volumes and dynamic resources are NOT evaluated: that
a node passes here does not promise that the scheduler takes it.
"""
