"""What the docstring under each field of a model says: for the JSON Schema, and for messages.

Pydantic would read the source of every model each time a program starts; few programs ask.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel


@functools.cache
def field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each field of ``model`` that has one, by the field's name."""
    described: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if owner.__module__.partition(".")[0] == __name__.partition(".")[0]:
            described |= _of_class(owner)
    return {name: text for name, text in described.items() if name in model.model_fields}


def describe_fields(base: type[BaseModel]) -> None:
    """Give all models below ``base`` the descriptions of their fields, for a JSON Schema."""
    for model in base.__subclasses__():
        for name, text in field_descriptions(model).items():
            model.model_fields[name].description = text
        describe_fields(model)
        model.model_rebuild(force=True)


def _of_class(owner: type) -> dict[str, str]:
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
