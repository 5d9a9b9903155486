"""firstmate, the server: MCP surface, command line, runbooks and configuration over `firstmate_tools`.

Arrows go one way: command line -> MCP -> calls -> runbooks and settings -> `firstmate_tools`. Everything imports this
module, so it must stay free of imports that cost time.
"""


def version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("firstmate")
    except PackageNotFoundError:
        return "0+unknown"


def user_agent() -> str:
    """What API servers see of us, such as `firstmate/0.1.0`."""
    return f"firstmate/{version()}"
