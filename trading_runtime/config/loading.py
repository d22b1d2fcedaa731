"""From an experiment file to a checked experiment, or to a list of everything wrong with it."""

from __future__ import annotations

import contextlib
import json
import os.path
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from trading_runtime.canonical import decimal_text
from trading_runtime.config.checks import find_conflicts
from trading_runtime.config.document import DocumentError, Problem, parse_json
from trading_runtime.config.experiment import Experiment
from trading_runtime.config.messages import faults_of, problem_at
from trading_runtime.config.places import PathError, resolve_path, resolve_place
from trading_runtime.config.project_file import default_results
from trading_runtime.errors import UsageError, refuse_other_than_utf8
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trading_runtime.config.document import Node
    from trading_runtime.config.messages import ConfigFinding, SettingsError

SUFFIXES = (".json", ".yaml", ".yml")
"""Endings of the files that can be an experiment."""

MAX_BYTES = 5_000_000
"""Largest experiment file that is read."""

_MAX_PROBLEMS = 50
_STAND_INS: dict[str, Any] = {
    "name": "x",
    "seed": 0,
    "dataset": {"path": "x"},
    "strategy": {"path": "x:X"},
    "venue": {"account_type": "cash", "balances": ["1 USD"], "fees": {"model": "none"}},
}
"""Stand-ins for required sections that cannot be read, so that the others are still checked."""


@dataclass(frozen=True)
class LoadedExperiment:
    """An experiment with the file that it comes from: relative paths start at the file's folder."""

    experiment: Experiment
    path: Path
    """Absolute; for a file fetched from S3, the path of the local copy."""
    source: str
    """The text of the file."""
    shown: str
    """Where the file is: its absolute path, or its address in S3."""
    code_folder: Path
    """Where relative paths of the strategy's code start: the file's folder, unless the code came
    from elsewhere."""

    @property
    def dataset_place(self) -> str:
        """The dataset's folder: an absolute path, or an address in S3."""
        return resolve_place(self.experiment.dataset.path, self._base)

    @property
    def results_place(self) -> str:
        """The results' folder: an absolute path, or an address in S3.

        An experiment that names none uses ``TRADING_RUNTIME_RESULTS`` or the project file, unless
        it comes from S3.
        """
        is_named = "results" in self.experiment.model_fields_set
        if not is_named and self.shown == str(self.path):
            place = default_results(self.path.parent)
            if place is not None:
                return place
        return resolve_place(self.experiment.results, self._base)

    @property
    def _base(self) -> str:
        return self.shown.rpartition("/")[0] or "/"

    @property
    def strategy_file(self) -> Path | None:
        """The file of ``file.py:Class``, absolute; None for a module or a builtin strategy."""
        return self._file_of(self.experiment.strategy.path)

    @property
    def config_file(self) -> Path | None:
        """The file of ``strategy.config_path``, absolute; None when it is absent or a module."""
        return self._file_of(self.experiment.strategy.config_path or "")

    @property
    def code_paths(self) -> tuple[Path, ...]:
        """The files and folders of ``strategy.code``, absolute, in the order written."""
        return tuple(self.resolve(text) for text in self.experiment.strategy.code)

    def placed(self, error: SettingsError, shown: str | None = None) -> UsageError:
        """Return ``error`` with line and column of each setting; ``shown`` names the file."""
        document = read_document(self.source, self.path.suffix)
        return failure(shown or self.shown, _problems(document, error.findings))

    def resolve(self, text: str) -> Path:
        """Return the absolute path that ``text`` in this file names."""
        return resolve_path(text, self.code_folder)

    def _file_of(self, class_path: str) -> Path | None:
        where = class_path.partition(":")[0]
        return self.resolve(where) if where.endswith(".py") else None


def load_experiment(
    path: str | Path, address: str | None = None, code_folder: Path | None = None
) -> LoadedExperiment:
    """Read and check the experiment file at ``path``.

    ``address`` says where in S3 the file was fetched from: paths of dataset and results start
    there. Those of the strategy's code start in ``code_folder``, else at ``path``.

    Raises ``UsageError`` with one line for everything wrong: ``local.json:12:5: strategy.pth:
    unknown key; did you mean 'path'?``.
    """
    path = Path(path)
    source = read_text(path)
    absolute = path.absolute()
    refuse_other_than_utf8(str(absolute))
    code_folder = code_folder or absolute.parent
    experiment = parse_experiment(source, path.suffix, address or str(path), code_folder)
    shown = address or str(absolute)
    return LoadedExperiment(experiment, absolute, source, shown, code_folder)


def experiment_of(content: Mapping[str, Any], folder: Path | None = None) -> LoadedExperiment:
    """Check an experiment given as a mapping, as from a notebook.

    Paths start at ``folder``, the current one by default. Raises ``UsageError`` as
    ``load_experiment`` does, without lines and columns.
    """
    folder = (folder or Path.cwd()).absolute()
    try:
        source = json.dumps(content, default=_written, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"experiment: cannot be written as JSON: {error}") from error
    path = folder / "experiment.json"
    with without_places(str(path)):
        experiment = parse_experiment(source, path.suffix, str(path), folder)
    return LoadedExperiment(experiment, path, source, str(path), folder)


@contextlib.contextmanager
def without_places(shown: str) -> Iterator[None]:
    """Leave line and column out of messages about an experiment that is in no file."""
    try:
        yield
    except UsageError as error:
        place = re.compile(rf"(?m)^{re.escape(shown)}(:\d+:\d+)?: ")
        raise UsageError(place.sub("experiment: ", str(error))) from error


def _written(value: object) -> Any:
    """Return what JSON has of a value that a notebook may hold."""
    if isinstance(value, (Decimal, PurePath)):
        return str(value)
    if isinstance(value, (range, tuple)):
        return list(value)
    if callable(plain := getattr(value, "tolist", None)):
        return plain()  # an array or a number of numpy
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def results_place_of(path: Path, address: str) -> str:
    """Return where the file at ``path``, fetched from ``address``, puts its results.

    Nothing else of it is checked. Raises ``UsageError`` when it cannot be read as a document.
    """
    try:
        content = read_document(read_text(path), path.suffix).plain()
        text = content.get("results", Experiment.model_fields["results"].default)
        return resolve_place(str(text), address.rpartition("/")[0])
    except DocumentError as error:
        raise failure(address, error.problems) from error
    except (AttributeError, PathError) as error:
        raise UsageError(f"{address}: results: {error}") from error


def parse_experiment(source: str, suffix: str, shown: str, folder: Path) -> Experiment:
    """Return the experiment in a text; ``shown`` names it in messages.

    Raises ``UsageError`` as ``load_experiment`` does; ``suffix`` is one of ``SUFFIXES``.
    """
    document = read_mapping(source, suffix, shown)
    experiment, problems, unreadable = _validate(document)
    problems += _problems(document, find_conflicts(experiment, folder, frozenset(unreadable)))
    if problems:
        raise failure(shown, problems)
    return experiment


def _problems(document: Node, findings: Iterable[ConfigFinding]) -> list[Problem]:
    return [
        problem_at(document, finding.keys, finding.message, of_key=finding.of_key)
        for finding in findings
    ]


def find_experiment(name: str, beside: Path) -> tuple[Path, str | None]:
    """Return where the experiment file ``name`` is, and a note when it was found elsewhere.

    A relative name that is not in the current folder is looked up in the folder ``beside``.
    Raises ``UsageError`` when it is in neither.
    """
    named = Path(name)
    try:
        is_here, other = named.exists(), beside / named
        is_beside = not named.is_absolute() and other.exists()
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error
    if is_here:
        return named, None
    if not is_beside:
        also = "" if named.is_absolute() else f", nor in {beside}"
        where = "" if named.is_absolute() else " in the current folder"
        raise UsageError(
            f"{name}: there is no such file{where}{also}; give the path of an "
            "experiment file (.json or .yaml)"
        )
    return other, f"{name} is not in the current folder; using {other}"


def explicit(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment with all defaults explicit, ready for ``json.dumps``.

    Decimals are strings; those whose type only the strategy knows (``strategy.config`` and lists
    of ``parameters``) are floats, which such numbers were checked to fit exactly. Reading it again
    gives an equal experiment.
    """
    content = experiment.plain(by_alias=True)
    if experiment.search is not None:
        del content["sampling"]  # a file says one of the two
    content["strategy"]["config"] = _plain(content["strategy"]["config"], as_float=True)
    for name, values in content["parameters"].items():
        if isinstance(values, list):
            content["parameters"][name] = _plain(values, as_float=True)
    plain: dict[str, Any] = _plain(content, as_float=False)
    return plain


def _plain(value: Any, *, as_float: bool) -> Any:
    if isinstance(value, Decimal):
        return float(value) if as_float else decimal_text(value)
    if isinstance(value, dict):
        return {key: _plain(item, as_float=as_float) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, as_float=as_float) for item in value]
    return value.value if hasattr(value, "value") else value


def read_document(source: str, suffix: str) -> Node:
    """Return the tree of a text, by the ending of its file; raises ``DocumentError``."""
    if suffix.lower() == ".json":
        return parse_json(source)
    from trading_runtime.config.yaml_document import read_yaml  # only YAML files need it

    return read_yaml(source)


def read_mapping(source: str, suffix: str, shown: str, what: str = "an experiment") -> Node:
    """Return the tree of a text whose top is a mapping; raises ``UsageError`` otherwise."""
    try:
        document = read_document(source, suffix)
    except DocumentError as error:
        raise failure(shown, error.problems) from error
    if not isinstance(document.value, dict):
        message = f"{what} is a mapping of keys to values at the top"
        raise failure(shown, [Problem(document.line, document.column, message)])
    return document


def validated[Settings: BaseModel](model: type[Settings], document: Node, shown: str) -> Settings:
    """Return the settings in a document; raises ``UsageError`` with one line for every fault."""
    try:
        return model.model_validate(document.plain())
    except ValidationError as error:
        faults = faults_of(error, document, model)
        raise failure(shown, [item.problem for item in faults if item.problem]) from error


def read_text(path: Path, what: str = "an experiment") -> str:
    """Return the text of a file expected to be ``what``; raises ``UsageError`` if there is none."""
    accepted = ", ".join(SUFFIXES)
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where no file can be
        raise UsageError(f"{path}: is a folder; give the path of {what} file ({accepted})")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{path}: a file with the ending {path.suffix!r} is not {what}; accepted are {accepted}"
        )
    try:
        data = read_bytes(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: there is no such file; give the path of {what} file ({accepted})"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: has {len(data):,} bytes; at most {MAX_BYTES:,} are accepted")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        ) from error


def _validate(document: Node) -> tuple[Experiment, list[Problem], set[str]]:
    """Return the experiment, what is wrong with its keys, and the sections that cannot be read.

    Bad keys are fixed or their section replaced by a stand-in, so that the rest is checked.
    """
    content = document.plain()
    try:
        return Experiment.model_validate(content), [], set()
    except ValidationError as error:
        faults = faults_of(error, document, Experiment)
    problems = [fault.problem for fault in faults if fault.problem]
    unreadable: set[str] = set()
    # Unknown keys first: later their place may contain something else.
    for fault in sorted(faults, key=lambda item: not item.is_unknown_key):
        if fault.is_unknown_key:
            inside = content
            for key in fault.keys[:-1]:
                inside = inside[key]
            del inside[fault.keys[-1]]
        elif fault.keys[0] == "parameters" and len(fault.keys) > 1:
            content["parameters"][fault.keys[1]] = [0]
        else:
            unreadable.add(str(fault.keys[0]))
    sound = {key: value for key, value in content.items() if key not in unreadable}
    return Experiment.model_validate(_STAND_INS | sound), problems, unreadable


def failure(shown: str, problems: Sequence[Problem]) -> UsageError:
    """Return the error that lists problems in their order in the file."""
    ordered = sorted(set(problems), key=lambda item: (item.line, item.column, item.message))
    lines = [f"{shown}:{item.line}:{item.column}: {item.message}" for item in ordered]
    if len(lines) > _MAX_PROBLEMS:
        lines[_MAX_PROBLEMS:] = [f"{shown}: and {len(lines) - _MAX_PROBLEMS} more"]
    return UsageError("\n".join(lines))
