"""OpenAI's error bodies: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from imagerouter.emulators.exchange import Refused

USER_ERROR = "image_generation_user_error"
_INVALID = "invalid_request_error"


def refused(
    status: int, message: str, code: str | None, param: str | None = None, kind: str = _INVALID, **more: object
) -> Refused:
    """An error of OpenAI's shape."""
    return Refused(status, {"error": {"message": message, "type": kind, "param": param, "code": code, **more}})


def bad_value(param: str, message: str, code: str = "invalid_value", kind: str = _INVALID) -> Refused:
    """400 for the value of a parameter."""
    return refused(400, message, code, param, kind)


def not_one_of(param: str, value: object, allowed: tuple[str, ...]) -> Refused:
    """400 for a value outside a list."""
    listed = ", ".join(f"'{each}'" for each in allowed[:-1])
    last = f"'{allowed[-1]}'"
    said = f"{listed}, and {last}" if listed else last
    return bad_value(param, f"Invalid value: '{value}'. Supported values are: {said}.")


def missing(param: str) -> Refused:
    """400 for a parameter that is not there."""
    return bad_value(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def model_not_found(model: str) -> Refused:
    """404: unknown, or shut down."""
    message = f"The model '{model}' does not exist or you do not have access to it."
    return refused(404, message, "model_not_found")


def moderation_blocked(stage: str, categories: tuple[str, ...], request_id: str) -> Refused:
    """400 for a refusal by the safety system."""
    message = (
        "Your request was rejected by the safety system. If you believe this is an error, contact us at "
        f"help.openai.com and include the request ID {request_id}. safety_violations=[{', '.join(categories)}]."
    )
    details = {"moderation_stage": stage, "categories": list(categories)}
    return refused(400, message, "moderation_blocked", None, USER_ERROR, moderation_details=details)
