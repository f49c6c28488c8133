"""Settings from a TOML file and the environment, structured strictly.

``MOICA_GATEWAY_UPSTREAM__POLL_INTERVAL`` is ``[upstream] poll_interval``; a list is written with
commas there. An unknown name is an error. Every error names the setting, where it came from, what
was expected and what came, never the value of a secret; all of them are told at once.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

import cattrs
from attrs import fields
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

from moica_gateway.errors import error
from moica_gateway.settings.model import (
    BrakeSettings,
    FormatSettings,
    LimitSettings,
    Settings,
    TrustSettings,
    UpstreamSettings,
    complaint,
    invalid,
    refuse,
    shown,
)

__all__ = ["load_settings"]

_PREFIX: Final = "MOICA_GATEWAY_"


def load_settings(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read, structure, and check.

    Raises:
        ConfigurationError: ``configuration_invalid``: which settings, from where, what was
            expected, what came.
    """
    raw = {} if file is None else _read_toml(file)
    sources = dict.fromkeys(_names(raw), f"in {file}")
    for variable, value in environ.items():
        if variable.startswith(_PREFIX) and variable != f"{_PREFIX}CONFIG":
            path = variable.removeprefix(_PREFIX).lower().split("__")
            _put(raw, path, _EnvironmentText(value), variable)
            sources[".".join(path)] = f"in the environment ({variable})"
    try:
        settings = _converter().structure(raw, Settings)
    except ClassValidationError as e:
        raise invalid(_complaints(e, "", sources)) from None
    refuse(settings, sources)
    return settings


# -- reading -----------------------------------------------------------------------------------


class _EnvironmentText(str):
    """Text of the environment, where a number and a list are text as well."""

    __slots__ = ()


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        why = f"it cannot be read ({type(e).__name__})"
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        # Only the place: the message may repeat what stands there.
        place = re.search(r"\(at [^)]*\)", str(e))
        why = f"it is no TOML {place[0] if place else ''}".rstrip()
    raise error("configuration_invalid", f"expected a TOML file at {file}; {why}")


def _names(raw: Mapping[str, Any]) -> Iterator[str]:
    """Of both levels that settings have; what is nested deeper is unknown anyway."""
    for name, value in raw.items():
        yield name
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)


def _put(raw: dict[str, Any], path: list[str], value: str, variable: str) -> None:
    for name in path[:-1]:
        inner = raw.setdefault(name, {})
        if not isinstance(inner, dict):
            raise invalid([f"{variable}: expected a name of the settings, came another"])
        raw = inner
    raw[path[-1]] = value


# -- structuring -------------------------------------------------------------------------------


class _Wrong(ValueError):
    """A value of another type than expected."""

    def __init__(self, expected: str, came: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.came = came


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(int, lambda value, _: _whole(value))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    converter.register_structure_hook(str, lambda value, _: _text(value))
    converter.register_structure_hook_func(
        lambda type_: type_ == tuple[str, ...], lambda value, _: _texts(value)
    )
    converter.register_structure_hook_func(
        lambda type_: getattr(type_, "__origin__", None) is Literal, _one_of
    )
    for table in (
        UpstreamSettings,
        TrustSettings,
        BrakeSettings,
        LimitSettings,
        FormatSettings,
    ):
        inner = cattrs.gen.make_dict_structure_fn(table, converter, _cattrs_forbid_extra_keys=True)
        converter.register_structure_hook(
            table, lambda value, type_, inner=inner: inner(_table(value), type_)
        )
    return converter


def _table(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong("a table", value)
    return value


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, _EnvironmentText) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    raise _Wrong("a whole number", value)


def _number(value: object) -> float:
    number = value
    if isinstance(value, _EnvironmentText):
        try:
            number = float(value)
        except ValueError:
            raise _Wrong("a number", value) from None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise _Wrong("a number", value)
    # Neither "not a number" nor infinity, nor an integer too large for a float.
    if not -1e15 < number < 1e15:
        raise _Wrong("a number", value)
    return float(number)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong("text", value)
    return str(value)


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, _EnvironmentText):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _Wrong("a list of texts", value)
    return tuple(value)


def _one_of(value: object, type_: Any) -> str:
    known: tuple[str, ...] = get_args(type_)
    for name in known:
        if isinstance(value, str) and value.casefold() == name.casefold():
            return name
    raise _Wrong(f"{', '.join(known[:-1])} or {known[-1]}", value)


def _complaints(e: ClassValidationError, path: str, sources: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    noted, others = e.group_exceptions()
    for inner, note in noted:
        name = f"{path}{note.name}"
        if isinstance(inner, ClassValidationError):
            found += _complaints(inner, f"{name}.", sources)
        elif isinstance(inner, _Wrong):
            found.append(complaint(name, sources, inner.expected, shown(name, inner.came)))
        else:
            found.append(complaint(name, sources, "another value", type(inner).__name__))
    for other in others:
        if isinstance(other, ForbiddenExtraKeysError):
            known = [f.name for f in fields(other.cl)]
            for name in sorted(other.extra_fields):
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean `{path}{near[0]}`?)" if near else ""
                came = f"one that is unknown{hint}"
                found.append(complaint(f"{path}{name}", sources, "a known setting", came))
        else:
            found.append(f"settings: expected tables and values, came {type(other).__name__}")
    return found
