"""What admission would say of an object, computed from plain objects: quotas, limit ranges, pod security, webhooks.

Pure functions; nothing here reads a cluster or knows of findings.
"""
