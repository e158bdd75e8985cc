"""Errors that reach people. Each says what happened, whose fault it is, and whether trying again helps.

Raised where the fault is known; the API renders them as `application/problem+json` (contract, section 3), the command
line as one line on stderr.
"""

from collections.abc import Iterable
from typing import Literal

LONGEST_DETAIL = 2000  # characters
Fault = Literal["ours", "theirs", "upstream"]


class VonalError(Exception):
    """Base of all errors with a stable `code`. `param` names the parameter at fault; `retry_after` is in seconds."""

    status = 500
    code = "internal_error"
    title = "Something went wrong on our side"
    fault: Fault = "ours"
    retryable = False
    faults: tuple[tuple[str, str], ...] = ()  # (path, reason) each, where several things are wrong at once

    def __init__(self, detail: str, *, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param
        self.retry_after = retry_after


class RequestError(VonalError):
    """The caller's fault."""

    status = 400
    code = "invalid_request"
    title = "The request cannot be understood"
    fault: Fault = "theirs"


def _error(code: str, status: int, title: str, *, retryable: bool = False) -> type[RequestError]:
    name = "".join(part.capitalize() for part in code.split("_"))
    return type(name, (RequestError,), {"code": code, "status": status, "title": title, "retryable": retryable})


InvalidRequest = RequestError
MissingParameter = _error("missing_parameter", 400, "A parameter is missing")
InvalidNumber = _error("invalid_number", 400, "Not a phone number that can be dialled")
InvalidExtension = _error("invalid_extension", 400, "Not an extension number")
RecordingIdUndecodable = _error("recording_id_undecodable", 400, "Not a recording id of this service")
AuthFailed = _error("auth_failed", 401, "Unknown credentials")
ScopeMissing = _error("scope_missing", 403, "The credentials may not do this")
DestinationForbidden = _error("destination_forbidden", 403, "This destination may not be called")
CallerIdForbidden = _error("caller_id_forbidden", 403, "This caller id is not the tenant's")
IpNotAllowed = _error("ip_not_allowed", 403, "The credentials may not be used from this address")
HttpsRequired = _error("https_required", 403, "Only https is accepted")
NotFound = _error("not_found", 404, "No such address")
MethodNotAllowed = _error("method_not_allowed", 405, "The address does not know this method")
ExtensionNotFound = _error("extension_not_found", 404, "No such extension")
CallNotFound = _error("call_not_found", 404, "No such call")
RecordingNotFound = _error("recording_not_found", 404, "No such recording")
EventNotFound = _error("event_not_found", 404, "No such event, or it is no longer kept")
DeliveryNotFound = _error("delivery_not_found", 404, "No such delivery")
WebhookNotFound = _error("webhook_not_found", 404, "No such webhook")
WebhookExists = _error("webhook_exists", 409, "There is a webhook of this id")
WebhookLimitReached = _error("webhook_limit_reached", 409, "The tenant has as many webhooks as it may have")
RotationUnderWay = _error("rotation_under_way", 409, "The webhook's key is being changed already")
AgentOffline = _error("agent_offline", 409, "The agent's phone is not registered", retryable=True)
AgentBusy = _error("agent_busy", 409, "The agent's phone is in a call", retryable=True)
TransferNotPossible = _error("transfer_not_possible", 409, "Nobody is in conversation in this call", retryable=True)
CallAlreadyEnded = _error("call_already_ended", 409, "The call has ended")
IdempotencyConflict = _error("idempotency_conflict", 409, "The idempotency key was used for another request")
RecordingNotReady = _error("recording_not_ready", 409, "The recording is being made ready", retryable=True)
RecordingDeleted = _error("recording_deleted", 410, "The recording was deleted")
RangeNotSatisfiable = _error("range_not_satisfiable", 416, "The range lies outside the recording")
PayloadTooLarge = _error("payload_too_large", 413, "The request is too large")
UnsupportedMediaType = _error("unsupported_media_type", 415, "This content type is not understood")
WebhookUrlRejected = _error("webhook_url_rejected", 422, "The webhook may not be sent there")
RateLimited = _error("rate_limited", 429, "Too many requests", retryable=True)


class InvalidParts(RequestError):
    """Several things may be wrong with what was sent: `faults` has them all, `param` the first one's path."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        told = "; ".join(f"{path}: {reason}" if path else reason for path, reason in self.faults)
        super().__init__(told[:LONGEST_DETAIL], param=self.faults[0][0] or None)


class OriginateFailed(VonalError):
    """Asterisk refused to start the call."""

    status, code, title, fault, retryable = 502, "originate_failed", "The call could not be started", "upstream", True


class TelephonyUnavailable(VonalError):
    """Asterisk does not answer, or the service is being stopped."""

    status, code, title, fault, retryable = (
        503,
        "telephony_unavailable",
        "The phone system is not reachable",
        "ours",
        True,
    )


class WaitTimeout(VonalError):
    """What was waited for did not happen in time; the call goes on."""

    status, code, title, fault = (
        504,
        "wait_timeout",
        "The call goes on, but what was waited for has not happened",
        "upstream",
    )


class EngineUnavailable(VonalError):
    """There is no Asterisk to run; the message says how to get one."""

    status, code, title = 503, "telephony_unavailable", "No Asterisk to run"


class DirectoryError(Exception):
    """The YAML is at fault. `faults`: (path, reason) each, such as ("tenants[0].numbers[0].ring[1]", "…")."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{path}: {reason}" if path else reason for path, reason in faults))
        self.faults = faults
