"""What firstmate can look at: plain asynchronous Python over Kubernetes clusters and recordings of them.

This package knows nothing of MCP: the `firstmate` package (server, command line) builds on it, never the other way
round (.importlinter holds that). A tool is an async function that is given a `Cluster` and answers with a pydantic
result; `firstmate_tools.catalogue` finds them all.
"""
