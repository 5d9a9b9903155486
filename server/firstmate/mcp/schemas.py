"""How a tool is announced over MCP: input and output schema, annotations, description.

`server.py` lists what this makes. Deterministic: the same catalogue gives the same bytes.
"""

from typing import Any

from mcp.types import Tool, ToolAnnotations

from firstmate.answers import compact
from firstmate.arguments import input_schema
from firstmate.jsonschema import schema_of
from firstmate.mcp.egress import NOTE
from firstmate_tools.toolspec import ToolSpec


def announced(spec: ToolSpec) -> Tool:
    """A tool as tools/list shows it."""
    return Tool(
        name=spec.name,
        title=spec.title,
        description=description(spec),
        input_schema=input_schema(spec),
        output_schema=output_schema(spec),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=spec.untrusted),
    )


def description(spec: ToolSpec) -> str:
    """The docstring, each paragraph in one line."""
    return "\n".join(" ".join(paragraph.split()) for paragraph in spec.description.split("\n\n"))


def output_schema(spec: ToolSpec) -> dict[str, Any]:
    """The schema of what leaves: nulls are dropped, so that only what has no default is required."""
    schema = schema_of(spec.result())
    if spec.untrusted:
        schema["properties"] = {NOTE: {"type": "string"}, **schema["properties"]}
    return schema


def tokens(spec: ToolSpec) -> int:
    """What a model reads of a tool: name, description and input schema. A token is 4 characters of compact JSON."""
    seen = {"name": spec.name, "description": description(spec), "input_schema": input_schema(spec)}
    return -(-len(compact(seen)) // 4)
