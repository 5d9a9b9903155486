"""What goes over the wire between botocore and AWS, from AWS's side: requests into parameters, answers into bytes.

`fake_aws.py` uses it. Both directions follow botocore's models, for the protocols json, rest-json, query and ec2
(CloudWatch offers CBOR as well; botocore takes json). Answers are written by botocore's own serializers, which write
any shape: private names of botocore, held by the lock file.

Formats: https://smithy.io/2.0/aws/protocols/ and botocore 1.44's parsers.
"""

import base64
import datetime as dt
import json
import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.etree import ElementTree

from botocore import serialize
from botocore.validate import ParamValidator

REQUEST_ID = "11111111-2222-3333-4444-555555555555"


class BrokenError(AssertionError):
    """A request or an answer that the model does not allow."""


def check(shape: Any, value: Any, where: str) -> None:
    """Holds a value against its shape, enums, patterns and maxima included, which botocore itself does not look at.

    Raises:
        BrokenError: says all that is wrong.
    """
    if shape is None:
        if value:
            raise BrokenError(f"{where}: nothing is allowed here, but {value!r}")
        return
    report = ParamValidator().validate(value, shape)
    wrong = [report.generate_report()] if report.has_errors() else []
    wrong += _strictly(shape, value, "")
    if wrong:
        raise BrokenError(f"{where}: " + "; ".join(wrong))


def _strictly(shape: Any, value: Any, at: str) -> list[str]:
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure" and isinstance(value, dict):
        known = {k: v for k, v in value.items() if k in shape.members}
        return [w for k, v in known.items() for w in _strictly(shape.members[k], v, f"{at}.{k}")]
    if kind == "list" and isinstance(value, list):
        inner = [w for i, v in enumerate(value) for w in _strictly(shape.member, v, f"{at}[{i}]")]
        return inner + (
            [f"{at}: {len(value)} entries, at most {limits['max']}"] if len(value) > limits.get("max", 1e9) else []
        )
    if kind == "map" and isinstance(value, dict):
        return [
            w
            for k, v in value.items()
            for w in _strictly(shape.key, k, f"{at}<{k}>") + _strictly(shape.value, v, f"{at}.{k}")
        ]
    if kind == "string" and isinstance(value, str):
        wrong = (
            [f"{at}: {value!r} is none of {list(shape.enum)[:10]}"] if shape.enum and value not in shape.enum else []
        )
        if len(value) > limits.get("max", 1e9):
            wrong.append(f"{at}: longer than {limits['max']}")
        return wrong + (
            [f"{at}: {value!r} does not match {limits['pattern']}"] if _odd(value, limits.get("pattern")) else []
        )
    if kind in ("integer", "long", "double", "float") and value > limits.get("max", float("inf")):
        return [f"{at}: {value} is more than {limits['max']}"]
    return []


def _odd(value: str, pattern: str | None) -> bool:
    if not pattern:
        return False
    try:
        return re.search(f"^(?:{pattern})$", value) is None
    except re.error:  # Java's dialect
        return False


def moments(shape: Any, value: Any) -> Any:
    """The value with its timestamps as datetimes, as samples in JSON do not have them."""
    kind = shape.type_name if shape is not None else ""
    if kind == "timestamp" and not isinstance(value, dt.datetime):
        if isinstance(value, int | float):
            return dt.datetime.fromtimestamp(value, dt.UTC)
        return dt.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    if kind == "structure" and isinstance(value, dict):
        return {k: moments(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
    if kind == "list" and isinstance(value, list):
        return [moments(shape.member, v) for v in value]
    if kind == "map" and isinstance(value, dict):
        return {k: moments(shape.value, v) for k, v in value.items()}
    return value


# Requests.


def operation_of(model: Any, method: str, path: str, headers: Any, body: bytes) -> tuple[Any, dict[str, str]]:
    """Which operation a request is, and what its path says.

    Raises:
        BrokenError: none of the model.
    """
    protocol = model.resolved_protocol
    name = ""
    if protocol == "json":
        name = headers["X-Amz-Target"].rpartition(".")[2]
    elif protocol in ("query", "ec2"):
        name = dict(parse_qsl(body.decode())).get("Action", "")
    if name:
        if name not in model.operation_names:
            raise BrokenError(f"{model.service_name} has no operation {name}")
        return model.operation_model(name), {}
    return _by_path(model, method, path)


def _by_path(model: Any, method: str, path: str) -> tuple[Any, dict[str, str]]:
    found: list[tuple[Any, dict[str, str]]] = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        template = operation.http["requestUri"].partition("?")[0]
        labels = re.findall(r"{(\w+)\+?}", template)
        pattern = "".join(
            ("(.+)" if part.endswith("+}") else "([^/]+)") if part.startswith("{") else re.escape(part)
            for part in re.split(r"({\w+\+?})", template)
        )
        match = re.fullmatch(pattern + "/?", path)
        if match and operation.http["method"] == method:
            found.append((operation, dict(zip(labels, map(unquote, match.groups()), strict=True))))
    if not found:
        raise BrokenError(f"{model.service_name} has no operation at {method} {path}")
    return min(found, key=lambda one: len(one[1]))


def parameters(model: Any, operation: Any, query: str, labels: dict[str, str], headers: Any, body: bytes) -> Any:
    """The parameters of a request, by the names of the model."""
    protocol, shape = model.resolved_protocol, operation.input_shape
    if shape is None:
        return {}
    if protocol in ("query", "ec2"):
        flat = dict(parse_qsl(body.decode(), keep_blank_values=True))
        return _structure(shape, flat, "", ec2=protocol == "ec2")
    found = json.loads(body) if body else {}
    if protocol == "json":
        return found
    members = {m.serialization.get("name", k): k for k, m in shape.members.items()}
    given = {members.get(k, k): v for k, v in found.items()}
    asked = parse_qs(query, keep_blank_values=True)
    for key, member in shape.members.items():
        place, name = member.serialization.get("location"), member.serialization.get("name", key)
        if place == "uri":
            given[key] = labels[name]
        elif place == "querystring" and name in asked:
            given[key] = asked[name] if member.type_name == "list" else _typed(member, asked[name][0])
        elif place == "header" and name in headers:
            given[key] = _typed(member, headers[name])
    return given


def _typed(shape: Any, text: str) -> Any:
    match shape.type_name:
        case "integer" | "long":
            return int(text)
        case "float" | "double":
            return float(text)
        case "boolean":
            return text == "true"
        case "blob":
            return base64.b64decode(text)
        case "timestamp":
            return moments(shape, text)
        case _:
            return text


def _structure(shape: Any, flat: dict[str, str], prefix: str, *, ec2: bool) -> Any:
    """A structure from the flat names of the query protocols: `Filter.1.Value.2=x`."""
    found: dict[str, Any] = {}
    for key, member in shape.members.items():
        name = member.serialization.get("queryName") if ec2 else None
        plain = member.serialization.get("name", key)
        name = name or (plain[:1].upper() + plain[1:] if ec2 else plain)
        if member.type_name == "list" and not ec2 and member.serialization.get("flattened"):
            name = member.member.serialization.get("name", name)
        at = f"{prefix}{name}"
        if any(one == at or one.startswith(f"{at}.") for one in flat):
            found[key] = _of_flat(member, flat, at, ec2=ec2)
    return found


def _of_flat(shape: Any, flat: dict[str, str], at: str, *, ec2: bool) -> Any:
    if shape.type_name == "structure":
        return _structure(shape, flat, f"{at}.", ec2=ec2)
    if shape.type_name == "list":
        inner = (
            ""
            if ec2 or shape.serialization.get("flattened")
            else f".{shape.member.serialization.get('name', 'member')}"
        )
        found, number = [], 1
        while any(one == f"{at}{inner}.{number}" or one.startswith(f"{at}{inner}.{number}.") for one in flat):
            found.append(_of_flat(shape.member, flat, f"{at}{inner}.{number}", ec2=ec2))
            number += 1
        return found
    return _typed(shape, flat[at])


# Answers.


def answer(model: Any, operation: Any, value: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a good answer."""
    protocol, shape = model.resolved_protocol, operation.output_shape
    value = value if shape is not None else {}
    if protocol in ("query", "ec2"):
        return 200, {"Content-Type": "text/xml"}, _xml(model, operation, value)
    writer, plain = serialize.JSONSerializer(), dict[str, Any]()
    body = {k: v for k, v in value.items() if "location" not in shape.members[k].serialization} if shape else {}
    if shape is not None:
        writer._serialize(plain, body, shape)
    return 200, {"Content-Type": "application/json"}, json.dumps(plain).encode()


def _xml(model: Any, operation: Any, value: dict[str, Any]) -> bytes:
    ec2 = model.resolved_protocol == "ec2"
    root = ElementTree.Element(f"{operation.name}Response")
    holder = root
    shape = operation.output_shape
    if shape is not None and not ec2:
        holder = ElementTree.SubElement(root, shape.serialization.get("resultWrapper", f"{operation.name}Result"))
    if shape is not None:
        writer = serialize.RestXMLSerializer()
        for key, one in value.items():
            member = shape.members[key]
            writer._serialize(member, one, holder, member.serialization.get("name", key))
    metadata = root if ec2 else ElementTree.SubElement(root, "ResponseMetadata")
    ElementTree.SubElement(metadata, "requestId" if ec2 else "RequestId").text = REQUEST_ID
    return ElementTree.tostring(root)


def refusal(model: Any, code: str, message: str, status: int) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error."""
    protocol = model.resolved_protocol if model is not None else "json"
    if protocol in ("query", "ec2"):
        root = ElementTree.Element("Response" if protocol == "ec2" else "ErrorResponse")
        holder = ElementTree.SubElement(root, "Errors") if protocol == "ec2" else root
        error = ElementTree.SubElement(holder, "Error")
        ElementTree.SubElement(error, "Code").text = code
        ElementTree.SubElement(error, "Message").text = message
        ElementTree.SubElement(root, "RequestID" if protocol == "ec2" else "RequestId").text = REQUEST_ID
        return status, {"Content-Type": "text/xml"}, ElementTree.tostring(root)
    body = json.dumps({"__type": code, "message": message}).encode()
    return status, {"Content-Type": "application/json", "x-amzn-errortype": code}, body
