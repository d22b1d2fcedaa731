"""Pydantic's errors about an experiment, worded so that a researcher can fix them.

Messages and the JSON Schema quote the docstrings of fields. They are read from the source only when
needed: pydantic would read the source of every model at each program start.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import itertools
import json
import re
import textwrap
import types
import typing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Tag

from trading_runtime.config.document import Problem
from trading_runtime.config.places import PathError, resolve_path, resolve_place
from trading_runtime.errors import UsageError
from trading_runtime.storage.files import what_else

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from trading_runtime.config.document import Node


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


Key = str | int
_WIDTH = 60
_MOST_UNKNOWN = 100


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """A key or value that the models refuse."""

    keys: tuple[Key, ...]
    problem: Problem | None
    """None when another fault already covers it."""
    is_unknown_key: bool


def faults_of(error: ValidationError, document: Node, model: type[BaseModel]) -> list[RefusedValue]:
    """Return the errors in ``error``, with their places in ``document``.

    A missing key is left out when the same mapping has an unknown one that looks like it.
    """
    faults: list[RefusedValue] = []
    misspelt: set[tuple[Key, ...]] = set()
    missing: set[tuple[Key, ...]] = set()
    unknown = 0
    for item in error.errors(include_url=False):
        keys, owner = _resolve(item["loc"], model)
        is_unknown_key = item["type"] == "extra_forbidden"
        unknown += is_unknown_key
        if unknown > _MOST_UNKNOWN and is_unknown_key:
            # So many are no mistake of typing: what they may mean is not looked for.
            problem = problem_at(document, keys, "unknown key", of_key=True)
            faults.append(RefusedValue(keys, problem, is_unknown_key))
            continue
        if is_unknown_key:
            misspelt.add((*keys[:-1], _nearest_name(str(keys[-1]), _fields(owner)) or ""))
        if item["type"] == "missing":
            missing.add(keys)
        if item["type"] == "union_tag_invalid":
            keys = (*keys, str(item["ctx"]["discriminator"]).strip("'"))
        faults.append(RefusedValue(keys, _problem(item, keys, owner, document), is_unknown_key))
    explained = missing & misspelt
    return [replace(fault, problem=None) if fault.keys in explained else fault for fault in faults]


def problem_at(document: Node, keys: Sequence[Key], message: str, *, of_key: bool) -> Problem:
    """Return a problem with what ``keys`` lead to."""
    line, column = document.place(keys, of_key=of_key)
    return Problem(line, column, f"{key_text(keys)}: {message}" if keys else message)


def key_text(keys: Iterable[Key]) -> str:
    """Return keys as messages show them: ``venue.balances[0]``."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            shown = key if key.isprintable() and key and len(key) <= _WIDTH else show(key)
            text += f".{shown}" if text else shown
    return text


def show(value: Any) -> str:
    """Return a value as the file would have it, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, Decimal):
        text = str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name nearest to ``name``, or nothing."""
    close = _nearest_name(name, known)
    return f"; did you mean {close!r}?" if close else ""


def _nearest_name(name: str, known: Iterable[str]) -> str | None:
    if len(name) > _WIDTH:
        return None  # comparing long texts takes long, and none of ours is
    lower = {item.lower(): item for item in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[close[0]] if close else None


def _problem(
    item: ErrorDetails, keys: tuple[Key, ...], owner: type[BaseModel] | None, document: Node
) -> Problem:
    kind = item["type"]
    if kind == "missing":
        about = "" if owner is None else field_descriptions(owner).get(str(keys[-1]), "")
        first = re.split(r"(?<=[.])\s", about, maxsplit=1)[0].replace("\n", " ").replace("``", "'")
        return problem_at(document, keys, f"is missing. {first}".strip(), of_key=False)
    if kind == "extra_forbidden":
        fields = _fields(owner)
        hint = nearest(str(keys[-1]), fields)
        known = "" if hint else f"; known are {', '.join(fields)}"
        return problem_at(document, keys, f"unknown key{hint}{known}", of_key=True)
    return problem_at(document, keys, _wrong_value(item), of_key=False)


def _wrong_value(item: ErrorDetails) -> str:  # noqa: PLR0911 - one sentence a kind
    found = show(item["input"])
    context = item.get("ctx", {})
    match item["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error" | "enum":
            return _not_one_of(item["input"], str(context["expected"]))
        case "union_tag_invalid":
            return _not_one_of(context["tag"], str(context["expected_tags"]))
        case "union_tag_not_found":
            return _untagged(found, item["input"], str(context.get("discriminator", "")))
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            return f"must be {_bound(context)}; found {found}"
        case "too_short":
            return "must not be empty"
        case "finite_number":
            return f"must be a finite number; found {found}"
        case "decimal_parsing":
            return f"must be a number; found {found}"
        case other:
            accepted = _ACCEPTED.get(other)
            return f"must be {accepted}; found {found}" if accepted else f"{item['msg']}: {found}"


def _bound(context: Mapping[str, Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most"}
    return next(f"{word} {context[key]}" for key, word in words.items() if key in context)


_ACCEPTED = {
    "int_type": "a whole number (without quotes)",
    "int_from_float": "a whole number",
    "string_type": "a text (in quotes)",
    "bool_type": "true or false (without quotes)",
    "decimal_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


def _not_one_of(value: Any, expected: str) -> str:
    names = [name.strip().strip("'") for name in expected.replace(" or ", ", ").split(",")]
    hint = nearest(value, names) if isinstance(value, str) else ""
    return f"{show(value)} is not accepted; accepted are {', '.join(names)}{hint}"


def _untagged(found: str, value: Any, discriminator: str) -> str:
    if not discriminator.startswith("'"):
        return (
            "must be a list of values, a range {start, stop, step} or draws {low, high, step}; "
            f"found {found} (a value that does not vary belongs in strategy.config)"
        )
    if not isinstance(value, dict):
        return f"must be a mapping of keys to values; found {found}"
    return f"the key {discriminator} is missing: it says which kind this is"


def _fields(owner: type[BaseModel] | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {field.alias or name: field for name, field in owner.model_fields.items()}


def _resolve(
    location: Sequence[Key], model: type[BaseModel]
) -> tuple[tuple[Key, ...], type[BaseModel] | None]:
    """Return the keys of the file without what pydantic adds, and the model of the last key.

    It adds the tag of a union, or its own name of the member that it tried.
    """
    keys: list[Key] = []
    owner: type[BaseModel] | None = None
    here: Any = model
    for part in location:
        if part == "[key]":
            break
        if _is_union(here):
            here = _tagged(here, part) or _named(here, part)
            continue
        owner = here if isinstance(here, type) and issubclass(here, BaseModel) else None
        keys.append(part)
        here = _inside(here, part)
    return tuple(keys), owner


def _inside(annotation: Any, key: Key) -> Any:
    """Return the type of what ``key`` leads to within a value of type ``annotation``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = _fields(annotation).get(str(key))
        return _bare(field.annotation) if field else None
    arguments = typing.get_args(annotation)
    return _bare(arguments[-1]) if arguments else None


def _tagged(annotation: Any, tag: Key) -> Any:
    """Return the member of a tagged union that ``tag`` names, or None when there is none."""
    for member in typing.get_args(annotation):
        if any(isinstance(item, Tag) and item.tag == tag for item in _metadata(member)):
            return _bare(member)
        bare = _bare(member)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            for field in bare.model_fields.values():
                if tag in typing.get_args(field.annotation):
                    return bare
    return None


def _named(annotation: Any, name: Key) -> Any:
    """Return the member of another union that pydantic calls so, as far as it has keys."""
    for member in map(_bare, typing.get_args(annotation)):
        kind = typing.get_origin(member) or member
        if isinstance(kind, type) and str(name).partition("[")[0] == kind.__name__:
            return member
    return None


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in {typing.Union, types.UnionType}


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def _bare(annotation: Any) -> Any:
    """Return a type without its annotations, and without ``| None``."""
    while _metadata(annotation):
        annotation = annotation.__origin__
    if _is_union(annotation):
        members = [item for item in typing.get_args(annotation) if item is not types.NoneType]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """Something wrong with what ``keys`` lead to."""

    keys: tuple[Key, ...]
    message: str
    of_key: bool = False
    """Whether the key itself is at fault, not its value."""


class SettingsError(UsageError):
    """Settings that the data or instruments of the experiment cannot support."""

    def __init__(self, findings: Sequence[ConfigFinding]) -> None:
        super().__init__("\n".join(f"{key_text(item.keys)}: {item.message}" for item in findings))
        self.findings = findings


def check_values(keys: tuple[Key, ...], value: Any) -> Iterator[ConfigFinding]:
    """Find numbers that a strategy could not be given exactly."""
    if isinstance(value, Decimal) and Decimal(repr(float(value))) != value:
        yield ConfigFinding(
            keys, f"{value} has more digits than a number holds exactly (17); write it in quotes"
        )
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from check_values((*keys, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_values((*keys, index), item)


def check_names(keys: tuple[Key, ...], names: Sequence[str] | None) -> Iterator[ConfigFinding]:
    """Find duplicate names, and an empty list of the dataset's names."""
    if names is None:
        return
    if not names and keys[0] == "dataset":
        yield ConfigFinding(keys, "must not be empty; leave the key out to use all of the dataset")
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ConfigFinding((*keys, index), f"{show(name)} is there twice; keep one")


def check_place(keys: tuple[Key, ...], text: str, folder: Path) -> Iterator[ConfigFinding]:
    """Check whether ``text`` can be a folder, here or in S3."""
    try:
        resolve_place(text, folder)
    except PathError as error:
        yield ConfigFinding(keys, str(error))


def check_path(
    keys: tuple[Key, ...], text: str, folder: Path, exists: str | None = None
) -> Iterator[ConfigFinding]:
    """Check whether ``text`` can be a path, and, if asked, whether something exists there."""
    try:
        path = resolve_path(text, folder)
    except PathError as error:
        yield ConfigFinding(keys, str(error))
        return
    if exists and (other := what_else(path)):
        yield ConfigFinding(keys, f"{text!r} is {other}; name a {exists}")
    elif exists and not (path.is_file() if exists == "file" else path.exists()):
        yield ConfigFinding(
            keys, f"there is no {exists} {text!r} (looked for {path}); paths start at this file"
        )
