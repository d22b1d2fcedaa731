"""YAML 1.2 read into a document from the parser's events: no tag ever builds an object."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml import events as kinds
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from trading_runtime.config.document import DocumentBuilder, DocumentError, Node, Problem


def read_yaml(text: str) -> Node:
    """Return the tree of a YAML 1.2 text; raises ``DocumentError``."""
    builder = DocumentBuilder()
    try:
        _read_events(text, builder)
    except DocumentError:
        raise
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        message = f"the character {_code(error.character)} is not accepted in YAML"
        raise DocumentError([Problem(line, column, message)]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(str(error.problem or error.context or "cannot be read").split())
        raise DocumentError([Problem(line, column, f"not YAML: {what}{_hint(what)}")]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split()) or "nested too deeply"
        raise DocumentError([Problem(1, 1, f"not YAML: {what[:200]}")]) from error
    return builder.finished()


def _read_events(text: str, builder: DocumentBuilder) -> None:
    documents = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case kinds.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    builder.problem(line, column, "a second document begins here; one is accepted")
                    return
            case kinds.AliasEvent():
                builder.problem(line, column, f"alias '*{event.anchor}': write the value itself")
                builder.scalar(line, column, None)
            case kinds.MappingEndEvent() | kinds.SequenceEndEvent():
                builder.close()
            case kinds.ScalarEvent():
                _refuse_properties(event, event.tag, line, column, builder)
                builder.yaml_scalar(line, column, event.value, is_plain=not event.style)
            case kinds.MappingStartEvent() | kinds.SequenceStartEvent():
                _refuse_properties(event, event.tag, line, column, builder)
                is_mapping = isinstance(event, kinds.MappingStartEvent)
                builder.open(line, column, is_mapping=is_mapping)


def _refuse_properties(
    event: kinds.NodeEvent, tag: object, line: int, column: int, builder: DocumentBuilder
) -> None:
    if event.anchor:
        builder.problem(line, column, f"anchor '&{event.anchor}' is not accepted; write values out")
    if tag:
        builder.problem(line, column, f"tag '{tag}' is not accepted; write plain values")


def _code(character: object) -> str:
    code = character if isinstance(character, int) else ord(str(character)[0])
    return f"U+{code:04X}"


def _hint(problem: str) -> str:
    if "\\t" in problem:
        return "; indent with spaces, not tabs"
    if problem == "mapping values are not allowed here":
        return "; indent it as its neighbours, or put a text with ': ' in quotes"
    return ""
