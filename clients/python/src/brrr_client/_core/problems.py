"""Reads answers: documents and problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from brrr_client._core.steps import Answer
from brrr_client._core.text import from_json
from brrr_client.errors import (
    ApiError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)

T = TypeVar("T")

CLASSES: dict[int, type[ApiError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    422: InvalidInputError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}

PREFIX = "urn:brrr:problem:"


def error_of(answer: Answer) -> ApiError:
    """The error for a refusal."""
    problem = problem_of(answer.content)
    name = str(problem.get("type", "")).removeprefix(PREFIX)
    detail = str(problem.get("detail") or problem.get("title") or "no details")
    return CLASSES.get(answer.status, ApiError)(answer.status, name, detail, problem)


def problem_of(content: bytes) -> dict[str, Any]:
    """The problem document. If a proxy sent something else, its first characters are the detail."""
    try:
        problem = from_json(content)
    except (ValueError, RecursionError):
        return {"detail": content[:200].decode(errors="replace")}
    return cast("dict[str, Any]", problem) if isinstance(problem, dict) else {}


def read(answer: Answer, parse: Callable[[Any], T]) -> T:
    """Reads the document of an answer. Raises UnexpectedAnswerError if the document is not in the form of the API."""
    try:
        return parse(from_json(answer.content))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UnexpectedAnswerError(
            f"the answer ({answer.status}) can't be read: {type(error).__name__}: {error}; is this the URL of a gateway?"
        ) from error
