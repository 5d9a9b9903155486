"""Alerts as alerting systems send them: read (`payloads.py`), and turned into something to diagnose (`subject.py`).

Pure functions over the text of an alert, which strangers may have written: what they give is either checked word by
word or said to be unchecked. Nothing here asks a cluster or an alerting system.
"""
