"""The MCP surface: the server that is built from the catalogue (`server.py`), transports, and the one egress filter.

Nothing outside this package imports the `mcp` SDK, except the demo's client. Must never let anything out that did not
pass `egress.py`.
"""
