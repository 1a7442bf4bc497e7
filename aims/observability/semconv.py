"""OpenTelemetry's GenAI semantic conventions, as a table: which span is which kind of event, and what it may say. Pure.

Spec: OpenTelemetry semantic conventions, GenAI and MCP (in development): gen_ai.*, mcp.*.
"""

from __future__ import annotations

# gen_ai.operation.name -> the kind of event that a finished span is.
OPERATIONS = {
    "chat": "llm.result",
    "text_completion": "llm.result",
    "generate_content": "llm.result",
    "embeddings": "llm.result",
    "execute_tool": "tool.result",
    "invoke_agent": "a2a.result",
    "create_agent": "task.started",
    "invoke_workflow": "task.ended",
    "plan": "llm.result",
}
# mcp.method.name -> kind; for spans that name no gen_ai.operation.name.
MCP_METHODS = {"tools/call": "tool.result", "resources/read": "tool.result", "prompts/get": "tool.result"}

OPERATION, MCP_METHOD = "gen_ai.operation.name", "mcp.method.name"
TXN = "aims.txn"  # ours: which transaction a span belongs to, on the span or on its resource
# Attribute -> member of an event that holds a name, an identifier or a number.
NAMES = {
    "gen_ai.tool.name": "tool",
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model",
    "mcp.resource.uri": "resource",
    "aims.resource": "resource",
    "aims.action": "action",
}
NUMBERS = {"gen_ai.usage.input_tokens": "input_tokens", "gen_ai.usage.output_tokens": "output_tokens"}
PEER = "gen_ai.agent.id"  # of invoke_agent: who is called

# Content. Never kept: of two of them the hash is, all are counted.
HASHED = {
    "gen_ai.tool.call.arguments": "arguments_hash",
    "gen_ai.tool.call.result": "result_hash",
    "gen_ai.input.messages": "arguments_hash",
    "gen_ai.output.messages": "result_hash",
}
CONTENT = frozenset({
    *HASHED, "gen_ai.system_instructions", "gen_ai.tool.definitions", "gen_ai.tool.description", "gen_ai.prompt",
    "gen_ai.completion", "gen_ai.agent.description", "exception.message", "exception.stacktrace",
})  # fmt: skip
