"""MCP's messages, as far as a server with tools needs them. Pure. Spec: MCP 2026-07-28, and 2025-11-25 for older clients.

2026-07-28: a request is whole in itself; no handshake, no session; what the headers say the body says too.
2025-11-25 and before: ``initialize`` first. This server keeps no session, so that changes nothing for it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WHOLE = "2026-07-28"
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED = (WHOLE, *HANDSHAKE)
META_VERSION, META_CAPABILITIES, META_SERVER = (
    f"io.modelcontextprotocol/{name}" for name in ("protocolVersion", "clientCapabilities", "serverInfo")
)
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
UNAUTHORIZED = -32001  # of the range for implementations: HTTP's status and challenge say what is wrong
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")

Id = str | int | None


class Wrong(Exception):
    """A message that can't be answered with a result. status: of the HTTP answer."""

    def __init__(self, code: int, message: str, *, status: int = 400, id: Id = None, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.id, self.data = code, message, status, id, data

    def body(self) -> dict[str, Any]:
        """Return the JSON-RPC error. Spec: JSON-RPC 2.0 §5.1."""
        told = {"code": self.code, "message": self.message}
        return {"jsonrpc": "2.0", "id": self.id, "error": told | ({} if self.data is None else {"data": self.data})}


class ToolFailed(Exception):
    """A tool that could not do it, in words for the model (``isError``): no protocol error."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One tool. act: arguments in, structured result out; raises ToolFailed."""

    name: str
    title: str
    description: str
    schema: Mapping[str, Any]
    is_read_only: bool
    act: Callable[[Mapping[str, Any]], Mapping[str, Any]]

    def listed(self) -> dict[str, Any]:
        """Return the tool as ``tools/list`` shows it."""
        hints = {"readOnlyHint": self.is_read_only, "destructiveHint": not self.is_read_only, "openWorldHint": False}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": dict(self.schema),
            "annotations": hints,
        }


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request or notification. id: None for a notification. version: the revision it is written in."""

    id: Id
    method: str
    params: Mapping[str, Any]
    version: str


def read(raw: bytes, headers: Mapping[str, Sequence[str]]) -> Message:
    """Return the message of a POST. headers: all values by lower-case name. Raises Wrong."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Wrong(PARSE_ERROR, "The body is no JSON.") from None
    # A list is a batch, which no revision since 2025-06-18 has; a message without a method is somebody's answer.
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or not isinstance(body.get("method"), str):
        raise Wrong(INVALID_REQUEST, "Send one JSON-RPC request or notification.")
    number, params = body.get("id"), body.get("params", {})
    if "id" in body and (isinstance(number, bool) or not isinstance(number, str | int)):
        raise Wrong(INVALID_REQUEST, "The id is a string or a whole number.")
    if not isinstance(params, dict):
        raise Wrong(INVALID_PARAMS, "params is an object.", id=number)
    message = Message(id=number, method=body["method"], params=params, version=_version(headers, number))
    if message.version == WHOLE and message.id is not None:
        _check_whole(message, headers)
    return message


def answer(message: Message, *, name: str, tools: Sequence[Tool]) -> dict[str, Any] | None:
    """Return the JSON-RPC answer; None for a notification, which gets 202. Raises Wrong, and whatever a tool raises."""
    if message.id is None:
        return None
    is_whole = message.version == WHOLE
    if message.method == "server/discover" and is_whole:
        told = {"supportedVersions": [WHOLE], "capabilities": {"tools": {}}} | _kept()
    elif message.method == "initialize" and not is_whole:
        told = _initialized(message, name)
    elif message.method == "ping" and not is_whole:
        told = {}
    elif message.method == "tools/list":
        told = {"tools": [tool.listed() for tool in tools]} | (_kept() if is_whole else {})
    elif message.method == "tools/call":
        told = _called(message, tools)
    else:
        raise Wrong(METHOD_NOT_FOUND, "There is no such method here.", status=404, id=message.id)
    if is_whole:
        told |= {"resultType": "complete", "_meta": {META_SERVER: _server(name)}}
    return {"jsonrpc": "2.0", "id": message.id, "result": told}


def _version(headers: Mapping[str, Sequence[str]], number: Id) -> str:
    """Return the revision that a message is written in; without the header it is the last that had none."""
    said = headers.get("mcp-protocol-version", ())
    if len(said) > 1:
        raise Wrong(HEADER_MISMATCH, "MCP-Protocol-Version appears more than once.", id=number)
    version = said[0] if said else HANDSHAKE[-1]
    if version not in SUPPORTED:
        told = {"supported": list(SUPPORTED), "requested": version}
        raise Wrong(UNSUPPORTED_VERSION, "Unsupported protocol version", id=number, data=told)
    return version


def _check_whole(message: Message, headers: Mapping[str, Sequence[str]]) -> None:
    """Hold what the headers say to what the body says: whoever routes by the one must not run the other."""
    meta = message.params.get("_meta")
    if not isinstance(meta, dict) or not {META_VERSION, META_CAPABILITIES} <= meta.keys():
        raise Wrong(INVALID_PARAMS, f"params._meta carries {META_VERSION} and {META_CAPABILITIES}.", id=message.id)
    said = {"mcp-protocol-version": meta[META_VERSION], "mcp-method": message.method}
    named = NAMED_BY.get(message.method)
    if named and named in message.params:
        said["mcp-name"] = message.params[named]
    for header, value in said.items():
        if [_decoded(each) for each in headers.get(header, ())] != [value]:
            raise Wrong(HEADER_MISMATCH, f"{header} does not say once what the body says.", id=message.id)


def _decoded(value: str) -> str | None:
    """Return a header's value; what HTTP can't carry comes as ``=?base64?…?=``."""
    found = _ENCODED.fullmatch(value)
    if found is None:
        return value
    try:
        return base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _initialized(message: Message, name: str) -> dict[str, Any]:
    wanted = message.params.get("protocolVersion")
    version = wanted if wanted in HANDSHAKE else HANDSHAKE[0]
    return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": _server(name)}


def _called(message: Message, tools: Sequence[Tool]) -> dict[str, Any]:
    arguments = message.params.get("arguments", {})
    tool = next((tool for tool in tools if tool.name == message.params.get("name")), None)
    if tool is None:
        raise Wrong(INVALID_PARAMS, "There is no such tool here.", id=message.id)
    try:
        result = tool.act(_fitting(arguments, tool.schema))
    except ToolFailed as failed:
        return {"content": [{"type": "text", "text": str(failed)}], "isError": True}
    text = json.dumps(result, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": result, "isError": False}


def _fitting(arguments: object, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments if they fit. schema: an object of required strings, and no others. Raises ToolFailed."""
    wanted = schema["properties"]
    is_fitting = (
        isinstance(arguments, dict)
        and arguments.keys() == wanted.keys()
        and all(isinstance(value, str) for value in arguments.values())
    )
    if not is_fitting:
        raise ToolFailed(f"The arguments are: {', '.join(wanted) or 'none'}; text each.")
    return dict(arguments)  # type: ignore[call-overload,no-any-return]


def _kept() -> dict[str, Any]:
    """Return that an answer is not to be kept: a revocation must count at once."""
    return {"ttlMs": 0, "cacheScope": "private"}


def _server(name: str) -> dict[str, str]:
    return {"name": name, "version": "1"}
