"""Write docs/reference/ and the schemas of a run's files from the code.

python scripts/make_reference.py           writes the files
python scripts/make_reference.py --check   lists files that are not current; exits with 1 if any
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trading_runtime.cli.main import COMMANDS, root
from trading_runtime.config.deployment import Deployment
from trading_runtime.config.experiment import Experiment
from trading_runtime.config.fields import Model
from trading_runtime.config.messages import describe_fields
from trading_runtime.config.program import ProgramDeployment
from trading_runtime.config.schema import schema_text
from trading_runtime.datasets.data_file import Preparation
from trading_runtime.errors import Kind, TradingRuntimeError
from trading_runtime.metrics.definitions import OF_FOLDER, OF_RUN, PREFIX, VALUES
from trading_runtime.records.schema import schema_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
_HEAD = (
    "<!-- Written by scripts/make_reference.py; change the code, then run `make reference`. -->\n"
)
_MEANING = {
    Kind.OK: "The command did what it was asked to.",
    Kind.INTERNAL: "A defect of ours; `--debug` shows the traceback to report.",
}


def written() -> dict[str, str]:
    """Return the text of every file generated from the code, by its path."""
    pages = {f"docs/reference/{name}": text for name, text in references().items()}
    schemas = schema_texts() | {"deployment.schema.json": schema_text(deployment=True)}
    return pages | {f"schemas/{name}": text for name, text in schemas.items()}


def references() -> dict[str, str]:
    """Return the text of every reference page by file name."""
    pages = {
        "cli.md": _commands(),
        "experiment.md": _model(Experiment, "The experiment file"),
        "deployment.md": _model(Deployment, "The deployment file"),
        "program.md": _model(ProgramDeployment, "The file of a program"),
        "data-file.md": _model(Preparation, "The data file"),
        "exit-codes.md": _exit_codes(),
        "metrics.md": _metrics(),
    }
    # Docstrings mark code with two backticks, Markdown with one.
    return {
        name: (_HEAD + "\n".join(lines)).replace("``", "`").rstrip("\n") + "\n"
        for name, lines in pages.items()
    }


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "An error is a line on standard error that begins with `error:`, and an"
    yield "[exit code](exit-codes.md) that tells its kind.\n"
    with click.Context(root, info_name="trading-runtime") as context:
        for name in COMMANDS:
            command = root.get_command(context, name)
            if command is None:
                raise ValueError(name)
            yield from _command(command, ["trading-runtime", name])


def _command(command: click.Command, path: list[str]) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, [*path, name])
        return
    with click.Context(command, info_name=" ".join(path)) as context:
        usage = " ".join(command.collect_usage_pieces(context))
    yield f"## `{' '.join(path)} {usage}`\n"
    yield f"{' '.join((command.help or '').split())}\n"
    options = [item for item in command.params if isinstance(item, click.Option)]
    if options:
        yield "| option | meaning |\n|---|---|"
        for option in options:
            value = "" if option.is_flag else f" {(option.metavar or option.name or '').upper()}"
            given = option.default
            shown = "" if option.is_flag or not isinstance(given, str) else f" Default: `{given}`."
            yield f"| `{', '.join(option.opts)}{value}` | {option.help}{shown} |"
        yield ""


def _model(model: type[BaseModel], title: str) -> Iterator[str]:
    describe_fields(Model)
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    yield f"# {title}\n"
    yield f"{schema.get('description', '')}\n"
    yield from _fields(schema, definitions)
    for name in _reached(schema, definitions):
        definition = definitions[name]
        if "properties" in definition:
            yield f"## {name}\n"
            yield f"{' '.join(definition.get('description', '').split())}\n"
            yield from _fields(definition, definitions)


def _reached(schema: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """Return the names of the definitions in the order in which a reader meets them."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        for name in _names(waiting.pop(0).get("properties", {})):
            if name not in found:
                found.append(name)
                waiting.append(definitions[name])
    return found


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for item in value.values():
            yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)


def _fields(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    required = set(schema.get("required", []))
    for name, field in schema.get("properties", {}).items():
        if name == "$schema":
            continue
        default = "required" if name in required else _default(field)
        described = definitions.get(field.get("$ref", "").rpartition("/")[2], {})
        meaning = " ".join((field.get("description") or described.get("description", "")).split())
        yield f"| `{name}` | {_type(field, definitions)} | {default} | {meaning} |"
    yield ""


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if isinstance(default, dict):
        return "as below"
    return "none" if default in (None, [], {}) else f"`{json.dumps(default)}`"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:  # noqa: PLR0911 - one per form
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if "properties" not in definitions[name]:
            return _type(definitions[name], definitions)
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for key in ("anyOf", "oneOf"):
        if key in field:
            parts = [_type(item, definitions) for item in field[key] if item.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {_type(field.get('items', {}), definitions)}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"mapping to {_type(inner, definitions)}" if isinstance(inner, dict) else "mapping"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return names.get(kind, kind)


def _metrics() -> Iterator[str]:
    yield "# Metrics\n"
    yield "What `trading-runtime metrics` exports, serves and pushes. Metrics of a run are kept"
    yield "for running runs and the latest ended ones; `--most-runs` says for how many.\n"
    for title, definitions in (("Of a folder of results", OF_FOLDER), ("Of a run", OF_RUN)):
        yield f"## {title}\n"
        yield "| metric | type | labels | meaning |\n|---|---|---|---|"
        for item in definitions:
            labels = ", ".join(f"`{label}`" for label in item.labels) or "none"
            yield f"| `{PREFIX}{item.name}` | {item.type} | {labels} | {item.help} |"
        yield ""
    yield "## Values of labels\n"
    yield "| label | values |\n|---|---|"
    for label, values in VALUES.items():
        yield f"| `{label}` | {', '.join(f'`{value}`' for value in values)} |"


def _exit_codes() -> Iterator[str]:
    yield "# Exit codes\n"
    yield "| code | kind | meaning |\n|---|---|---|"
    by_kind = {found.kind: found for found in TradingRuntimeError.__subclasses__()}
    for kind in Kind:
        meaning = _MEANING.get(kind) or " ".join((by_kind[kind].__doc__ or "").split())
        yield f"| {kind.exit_code} | {kind} | {meaning} |"
    yield "| 143 | stopped | The same, by SIGTERM. |"
    yield ""


def main() -> int:
    """Write the pages, or list those that are not current."""
    stale = []
    for name, text in written().items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        click.echo(f"not current: {', '.join(stale)}; run `make reference`", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
