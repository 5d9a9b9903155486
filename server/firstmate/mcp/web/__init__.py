"""What stands between the network and the MCP server: who calls, whether they may, and how much.

`mcp/http.py` puts it together, and is the only one to import it: stdio and the command line never load it.
"""
