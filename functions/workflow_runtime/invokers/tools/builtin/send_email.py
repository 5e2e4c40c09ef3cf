"""`send_email`: one message by Amazon SES (API v2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.builtin.aws_errors import call_aws
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.sdk import tool

RECIPIENTS_MAX = 50  # SES v2: recipients of one message
SUBJECT_CHARACTERS_MAX = 998  # RFC 5322 §2.1.1: one line
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}")


def send_email_function(reach: Reach, services: ToolServices) -> Callable[..., Any]:
    @tool(description="Sends an e-mail by Amazon SES and returns {message_id}.")
    def send_email(
        sender: str,
        to: str | list[str],
        subject: str,
        text: str | None = None,
        html: str | None = None,
        cc: list[str] | None = None,
        bcc: list[str] | None = None,
        reply_to: list[str] | None = None,
    ) -> dict[str, str]:
        allowed = reach.require("email", "send_email")
        recipients = {
            "ToAddresses": [to] if isinstance(to, str) else to,
            "CcAddresses": cc or [],
            "BccAddresses": bcc or [],
        }
        everyone = [address for addresses in recipients.values() for address in addresses]
        _check(sender, everyone, reply_to or [], subject)
        for address in everyone:
            if not _is_allowed(address, allowed):
                raise reach.refusal("email", f"the recipient {address} is not on the allow-list")
        if text is None and html is None:
            raise NodeError("validation_error", "give `text`, `html` or both")
        bodies = {"Text": text, "Html": html}
        body = {kind: {"Data": data, "Charset": "UTF-8"} for kind, data in bodies.items() if data is not None}
        response = call_aws(
            "SES",
            services.clients("sesv2").send_email,
            FromEmailAddress=sender,
            Destination={kind: addresses for kind, addresses in recipients.items() if addresses},
            ReplyToAddresses=reply_to or [],
            Content={"Simple": {"Subject": {"Data": subject, "Charset": "UTF-8"}, "Body": body}},
        )
        return {"message_id": response["MessageId"]}

    return send_email


def _check(sender: str, recipients: list[str], reply_to: list[str], subject: str) -> None:
    if not recipients:
        raise NodeError("validation_error", "there is no recipient")
    if len(recipients) > RECIPIENTS_MAX:
        raise NodeError("validation_error", f"more than {RECIPIENTS_MAX} recipients")
    for address in (sender, *recipients, *reply_to):
        if not _ADDRESS.fullmatch(address):  # bare addresses only: names and lists are where headers get injected
            raise NodeError("validation_error", f"{address[:100]!r} is not a bare ASCII e-mail address")
    if len(subject) > SUBJECT_CHARACTERS_MAX or any(ord(character) < 32 for character in subject):
        raise NodeError(
            "validation_error", f"the subject must be one line of at most {SUBJECT_CHARACTERS_MAX} characters"
        )


def _is_allowed(address: str, allowed: tuple[str, ...]) -> bool:
    folded = address.casefold()
    domain = "@" + folded.rpartition("@")[2]
    return any(entry == "*" or entry.casefold() in (folded, domain) for entry in allowed)
