"""Options that several commands share, and commands whose options are the fields of a dataclass."""

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from posehg import files
from posehg.cli import completion, terminal
from posehg.errors import NotAvailable, UsageError

if TYPE_CHECKING:
    import typer

    from posehg import api
    from posehg.inference.engines import EngineOptions


_MODEL = "A name from posehg models list, user/repo[@revision], URL#sha256=DIGITS, or a path."
_PRECISION = "Number format of the network. bf16 is faster on GPUs and some CPUs but less exact."
_DECODER = "How to read a joint from its heatmap; quarter is the paper's way."
_ENGINE = "What runs the network: auto, torch, onnxruntime or openvino."
_of_model: dict[str, Any] = {"metavar": "MODEL", "envvar": "POSEHG_MODEL", "autocompletion": completion.of_model}
_of_device: dict[str, Any] = {"metavar": "DEVICE", "envvar": "POSEHG_DEVICE", "autocompletion": completion.of_device}
DATA = "Folder of the data set, or its parent; for a file, that of its images."


def option(default: Any, panel: str, help: str, *names: str, **more: Any) -> Any:
    """A field of a dataclass that is an option; more: what typer.Option takes."""
    return field(default=default, metadata={"panel": panel, "help": help, "names": names, "more": more})


def argument(help: str, **more: Any) -> Any:
    """A field of a dataclass that is an argument; more: what typer.Argument takes."""
    return field(metadata={"help": help, "more": more})


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options of commands that run a model."""

    model: str = option("bundled", "Model", _MODEL, "--model", "-m", **_of_model)
    offline: bool = option(False, "Model", "Never download a model, as HF_HUB_OFFLINE=1 does.", "--offline")
    flip: bool = option(True, "Model", "Average with the mirrored image: more accurate, half the speed.")
    decoder: Literal["quarter", "subpixel"] = option("subpixel", "Model", _DECODER)
    device: str = option("auto", "Model", "auto, cpu, cuda, cuda:N or mps.", **_of_device)
    precision: Literal["fp32", "bf16", "fp16"] = option("fp32", "Model", _PRECISION)
    engine: Literal["auto", "torch", "onnxruntime", "openvino"] = option("auto", "Model", _ENGINE, metavar="NAME")
    threads: int = option(0, "Model", "CPU threads (0: automatic).", min=0, max=512)

    @property
    def run(self) -> "EngineOptions":
        """How to run the network."""
        from posehg.inference.engines import EngineOptions

        return EngineOptions(self.device, self.threads, self.precision, self.engine)

    def load(self, **more: Any) -> "api.Model":
        """The model, by ``api.load`` with more of its options; notes go to the terminal."""
        from posehg import api

        values = {field.name: getattr(self, field.name) for field in fields(ModelOptions)}
        return api.load(**values, note=terminal.note, **more)


def takes(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of its parameter that is a dataclass, if it has one.

    Inherited fields come last. The metadata of a field describe it. A tuple of numbers is written with hyphens, as
    64-128-128.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    place = next((parameter for parameter in own if is_dataclass(parameter.annotation)), None)
    if place is None:
        return command
    config: Any = place.annotation
    types = get_type_hints(config, include_extras=True)
    ordered = sorted(fields(config), key=lambda field: field.name not in inspect.get_annotations(config))
    defaults = {field.name: field.default for field in ordered}
    parameters = [parameter for parameter in own if parameter is not place]
    parameters += [_parameter(field, types[field.name]) for field in ordered]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        values = {name: given.pop(name) for name in defaults}
        for name, default in defaults.items():
            if isinstance(default, tuple):
                parts = values[name].split("-")
                if len(parts) != len(default) or not all(part.isascii() and part.isdigit() for part in parts):
                    raise UsageError(f"--{name} {values[name]} cannot be read.", "Write it as 64-128-128.")
                values[name] = tuple(map(int, parts))
        command(**given, **{place.name: config(**values)})

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameter(field: Field[Any], kind: Any) -> inspect.Parameter:
    default: Any = field.default
    about: Mapping[str, Any] = field.metadata
    if isinstance(default, tuple):
        kind, default = str, "-".join(map(str, default))
    if "more" not in about:
        more = {
            "metavar": "A-B-C" if isinstance(field.default, tuple) else "NAME" if isinstance(default, str) else None,
            "envvar": "POSEHG_DEVICE" if field.name == "device" else None,
            "show_default": about.get("shown") or True,
            "autocompletion": completion.OF_TRAINING.get(field.name),
        }
        about = {**about, "more": more}
    given = inspect.Parameter.empty if default is MISSING else default
    kind = Annotated[kind, for_typer(about)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=given, annotation=kind)


def for_typer(about: Mapping[str, Any]) -> Any:
    """The option or argument with the metadata of ``option`` or ``argument``, as typer describes one."""
    from typer import Argument, Option  # not above: plain commands do without typer

    if "panel" not in about:
        return Argument(help=about["help"], **about["more"])
    return Option(*about.get("names", ()), help=about["help"], rich_help_panel=about["panel"], **about["more"])


def wrong_suffix(option: str, path: Path, suffixes: Iterable[str], hint: str = "") -> UsageError:
    *first, last = suffixes
    listed = f"{', '.join(first)} or {last}" if first else last
    return UsageError(f"{option} must end in {listed}, not {path.suffix or path}.", hint)


def check_output(option: str, path: Path, suffixes: Iterable[str], overwrite: bool) -> None:
    """Raises, before the work, what writing the file would raise after it."""
    if path.suffix.lower() not in suffixes:
        raise wrong_suffix(option, path, suffixes)
    files.check(path, overwrite)


def given_names(context: "typer.Context", config: type) -> set[str]:
    """The fields whose options were given on the command line."""
    sources = {field.name: context.get_parameter_source(field.name) for field in fields(config)}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def read_file(path: Path, config: type) -> dict[str, Any]:
    """Some or all fields from a JSON file, such as the config.json of a run.

    Raises UsageError for unknown names and wrong types.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "A run writes its options to config.json in its folder."
        raise NotAvailable(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.", hint) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a file of options: it is not JSON ({error}).") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a file of options.", 'Write it as {"dataset": "mpii", "stacks": 2}.')
    defaults, read = {field.name: field.default for field in fields(config)}, {}
    for name, value in values.items():
        if name not in defaults:
            close = get_close_matches(name, defaults, n=1)
            raise UsageError(f"{path}: there is no option {name!r}.", f"Did you mean {close[0]}?" if close else "")
        default = defaults[name]
        if isinstance(default, tuple):
            fits = isinstance(value, list) and [type(part) for part in value] == [int] * len(default)
        else:
            fits = type(value) is type(default) or (type(default) is float and type(value) is int)
        if not fits:
            raise UsageError(f"{path}: {name} cannot be {value!r}.", f"Write it as {json.dumps(default)}.")
        read[name] = tuple(value) if isinstance(default, tuple) else value
    return read
