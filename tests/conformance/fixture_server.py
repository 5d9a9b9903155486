"""The server that `build()` makes, with the suite's fixtures beside its own tools, over HTTP.

    python -m tests.conformance.fixture_server FOLDER

FOLDER holds the runbooks that it serves as skills. Prints its address as `serve` does. Run by the conformance tests.
"""

import json
import sys
from pathlib import Path

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp import http
from firstmate.mcp.server import build
from firstmate.runbooks.library import Library
from firstmate.settings import Settings
from tests.conformance import asking, fixtures


def main(folder: str) -> None:
    settings = Settings(snapshot="demo")
    server = build(Calls(ConfiguredClusters(settings), all_tools()), Library(Path(folder)))
    fixtures.register(server)
    asking.register(server)
    where = http.Listening("127.0.0.1", 0, settings=settings.http)
    http.serve(server, where, _say)


def _say(url: str, port: int) -> None:
    sys.stdout.write(json.dumps({"url": url, "port": port}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
