"""Tools that stand on the server rather than on a cluster, such as those over runbooks. One module each.

`firstmate.catalogue` finds them. Like all tools they know nothing of MCP.
"""
