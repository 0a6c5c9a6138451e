"""The kitchen's knife and sugar: a job's tasks get its context, and what the job file has as their arguments."""

import random
from typing import Any

import brrr


@brrr.handler_no_arg
async def dice(context: dict[str, Any], fruit: str) -> dict[str, str]:
    """Chop it up."""
    if fruit not in context["fruit"]:
        raise brrr.PermanentError(f"there is no {fruit} in the kitchen")
    pieces = list(fruit)
    random.shuffle(pieces)
    return {f"diced-{fruit}": "".join(pieces)}


@brrr.handler_no_arg
async def garnish(context: dict[str, Any]) -> dict[str, str]:
    """Sugar on top, unless the context says that there is none."""
    if not context.get("sugar", True):
        raise brrr.PermanentError("the sugar is used up")
    return {"smoothie": f"sugar + {context['smoothie']}"}
