"""Prometheus, and whatever speaks its HTTP API (Thanos, Mimir, Amazon Managed Service for Prometheus), for reading.

`place.py` says where it is, `queries.py` fills a declared question in, `client.py` sends it, `answers.py` reads what
comes back, `reader.py` is what one tool call sees, live or recorded. Must never send anything but a declared question.
"""
