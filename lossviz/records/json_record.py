"""A record that a file keeps as one JSON object: typed fields, and whatever else the file says kept as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:  # noqa: D103
        return lambda cls: cls


NOTHING: Mapping[str, Any] = MappingProxyType({})
# JSON has lists, one kind of number and no enumerations
_WIDER: dict[Any, tuple[type, ...]] = {float: (float, int), tuple: (tuple, list), Literal: (str,)}


@dataclass_transform(kw_only_default=True, frozen_default=True)
class JsonRecord:
    """Base of records whose annotated names, each with its default, are the keys of a JSON object that have a type.

    ``Record(name=value)`` makes one, :meth:`from_json` reads one. A key without a field, or a value of another type
    than its field, is kept and written again as it was; the field then has its default. Lists are tuples here.

    Raises:
        TypeError: If there is no such field, or the value is of another type.
    """

    def __init__(self, **values: Any) -> None:
        self._check(values)
        self._fill(values)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The record of a JSON object."""
        record = cls.__new__(cls)
        record._fill(values)
        return record

    def to_json(self) -> dict[str, Any]:
        """The JSON object, keys in the order they came; the inverse of :meth:`from_json`."""
        return _plain(self._object)

    def evolve(self, **changes: Any) -> Self:
        """The record with some fields changed, or added at the end.

        Raises:
            TypeError: If there is no such field, or the value is of another type.
        """
        self._check(changes)
        return self.from_json(self._object | changes)

    def __or__(self, other: Self) -> Self:
        """The record with all that another one says in place of what this one says there."""
        return self.from_json(self._object | other._object)

    def without(self, *names: str) -> Self:
        """The record without some of its keys."""
        return self.from_json({name: value for name, value in self._object.items() if name not in names})

    def holds(self, name: str) -> bool:
        """Whether the object has this key, even with the value null."""
        return name in self._object

    @property
    def _object(self) -> dict[str, Any]:
        return vars(self)[""]  # no field has this name

    def _fill(self, values: Mapping[str, Any]) -> None:
        values = _plain(values)
        fields = _fields(type(self))
        typed = {name: fields[name].read(value) for name, value in values.items() if _fits(fields, name, value)}
        vars(self).update(typed, **{"": values})

    @classmethod
    def _check(cls, values: Mapping[str, Any]) -> None:
        fields = _fields(cls)
        if wrong := [name for name, value in values.items() if not _fits(fields, name, value)]:
            raise TypeError(f"{cls.__name__} has no such field, or one of another type: {', '.join(sorted(wrong))}.")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A {type(self).__name__} does not change; make another one with evolve({name}=…).")

    def __bool__(self) -> bool:
        return bool(self._object)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._object == other._object  # pyright: ignore[reportAttributeAccessIssue]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._object})"


class JsonObject(JsonRecord, Mapping[str, Any]):
    """A record that also reads as the JSON object of the file, ``record["key"]``."""

    def __getitem__(self, name: str) -> Any:
        return self._object[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._object)

    def __len__(self) -> int:
        return len(self._object)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self._object == dict(other)


@dataclass(frozen=True)
class _Field:
    """Types that a field takes from JSON, and the record it makes of an object."""

    kinds: tuple[type, ...]
    record: type[JsonRecord] | None

    def read(self, value: Any) -> Any:
        return self.record.from_json(value) if self.record and value is not None else _frozen(value)


@cache
def _fields(cls: type[JsonRecord]) -> dict[str, _Field]:
    return {name: _field(hint) for name, hint in get_type_hints(cls).items()}


def _field(hint: Any) -> _Field:
    if hint is Any:
        return _Field((object,), None)
    parts = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    origins = [get_origin(part) or part for part in parts]
    kinds = tuple(kind for origin in origins for kind in _WIDER.get(origin, (origin,)))
    record = next((kind for kind in kinds if issubclass(kind, JsonRecord)), None)
    return _Field((*kinds, Mapping) if record else kinds, record)


def _fits(fields: Mapping[str, _Field], name: str, value: Any) -> bool:
    return name in fields and isinstance(value, fields[name].kinds)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return {name: _frozen(item) for name, item in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    if isinstance(value, JsonRecord):
        return _plain(value._object)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
