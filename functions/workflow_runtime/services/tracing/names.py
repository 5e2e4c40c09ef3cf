"""The names of spans' attributes, all in one place: OpenTelemetry's semantic conventions for generative AI are young.

Source: opentelemetry.io/docs/specs/semconv, gen-ai (spans, agent spans) and general attributes. What has no convention
is named ``workflow.…``. What holds content (`OUTPUT_MESSAGES` to `OUTPUT`) is only told where that is asked for; no
attribute holds prompts, inputs or messages of errors.
"""

from __future__ import annotations

SCOPE = "workflow_runtime"
SERVICE_NAME = "service.name"
ERROR_TYPE = "error.type"

OPERATION = "gen_ai.operation.name"
CHAT, INVOKE_AGENT, EXECUTE_TOOL, INVOKE_WORKFLOW = "chat", "invoke_agent", "execute_tool", "invoke_workflow"
AGENT = "gen_ai.agent.name"
TOOL = "gen_ai.tool.name"
RESPONSE_MODEL = "gen_ai.response.model"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
OUTPUT = "workflow.node.output"
USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "requests": "workflow.usage.requests",
    "usd": "workflow.usage.usd",
}
"""What is recorded of usage, and its attributes."""

EXECUTION = "workflow.execution.id"
WORKFLOW = "workflow.id"
VERSION = "workflow.version"
CORRELATION = "workflow.correlation_id"
TENANT = "workflow.tenant"
STATUS = "workflow.status"
NODE = "workflow.node.path"
NODE_TYPE = "workflow.node.type"
SERIAL = "workflow.node.serial"
ATTEMPT = "workflow.node.attempt"
CHILD = "workflow.node.child"
STEP = "workflow.step.name"
