"""Values of Python's own types on their way in and out, and the schemas of their annotations."""

import enum
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict
from uuid import UUID

import brrr
import pytest
from brrr import codec, convert, fields, schema, serve
from conftest import FakeHost, request_for
from test_handlers import run


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Item:
    name: str
    price: Decimal
    color: Color = Color.RED


@dataclass
class Order:
    id: UUID
    at: datetime
    items: list[Item]
    parent: Optional["Order"] = None
    notes: dict[str, date] = field(default_factory=dict)


class Point(NamedTuple):
    x: int
    on: date


class Options(TypedDict, total=False):
    since: date
    name: str


class Model:
    """As pydantic's."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.at == other.at

    @classmethod
    def model_validate(cls, value: Any) -> "Model":
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        return cls(datetime.fromisoformat(value["at"]))

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        return {"at": self.at.isoformat() if mode == "json" else self.at}

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "properties": {"at": {"$ref": "#/$defs/At"}}, "$defs": {"At": {"type": "string"}}}


Id = NewType("Id", UUID)
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
ONE = UUID(int=1)
ORDER = Order(ONE, NOON, [Item("pear", Decimal("1.10"), Color.BLUE)], Order(ONE, NOON, []), {"a": date(2024, 7, 1)})

VALUES = [
    (datetime, NOON, "2024-07-01T12:00:00+00:00"),
    (date, NOON.date(), "2024-07-01"),
    (time, time(12, 30), "12:30:00"),
    (timedelta, timedelta(minutes=1.5), 90.0),
    (UUID, ONE, str(ONE)),
    (Id, ONE, str(ONE)),
    (Decimal, Decimal("0.10"), "0.10"),
    (Color, Color.BLUE, "blue"),
    (Level, Level.LOW, 1),
    (Model, Model(NOON), {"at": "2024-07-01T12:00:00+00:00"}),
    (Point, Point(1, NOON.date()), [1, "2024-07-01"]),
    (Options, {"since": NOON.date(), "name": "x"}, {"since": "2024-07-01", "name": "x"}),
    (list[date], [NOON.date()], ["2024-07-01"]),
    (Sequence[date], [NOON.date()], ["2024-07-01"]),
    (tuple[date, ...], (NOON.date(),), ["2024-07-01"]),
    (tuple[int, date], (1, NOON.date()), [1, "2024-07-01"]),
    (dict[str, UUID], {"a": ONE}, {"a": str(ONE)}),
    (Mapping[UUID, int], {ONE: 1}, {str(ONE): 1}),
    (Optional[UUID], None, None),
    (UUID | None, ONE, str(ONE)),
    (date | int, 3, 3),
    (UUID | str, "text", "text"),
    (Annotated[UUID, "doc"], ONE, str(ONE)),
    (Item, Item("pear", Decimal(1)), {"name": "pear", "price": "1", "color": "red"}),
    (list[Item | None], [None, Item("pear", Decimal(1))], [None, {"name": "pear", "price": "1", "color": "red"}]),
]


@pytest.mark.parametrize(("annotation", "value", "written"), VALUES)
def test_out_and_in(annotation: Any, value: Any, written: Any) -> None:
    assert codec.decode_result(codec.encode_result(value)) == written
    converter = convert.converter(annotation)
    read = converter(written, "it") if converter else written
    assert read == value and type(read) is type(value)


def test_a_nested_value_with_itself_in_it() -> None:
    @brrr.handler
    async def relay(app: brrr.App, order: Order, *, at: datetime) -> Order:
        assert order == ORDER and at == NOON
        return order

    @brrr.handler
    async def calls(app: brrr.App) -> bool:
        assert await app.call(relay)(ORDER, at=NOON) == ORDER
        return True

    def answer(call: Any) -> bytes:
        result = serve.handle(request_for("relay", call.payload), FakeHost(lambda _: None))
        assert isinstance(result, bytes), result
        return result

    assert run(calls, FakeHost(answer))[0] is True


@pytest.mark.parametrize(
    ("annotation", "written", "words"),
    [
        (datetime, "noon", "it is not a datetime: 'noon'"),
        (datetime, 3, "it is not a datetime: 3"),
        (list[UUID], ["x"], r"it\[0\] is not a UUID: 'x'"),
        (dict[str, date], {"a": "x"}, "it.a is not a date"),
        (Color, "green", "it is not a value of Color: 'green'"),
        (Decimal, "many", "it is not a Decimal"),
        (timedelta, True, "it is not the seconds of a timedelta"),
        (Model, 3, "it is not a Model: it is no object"),
        (Item, {"name": "x"}, "it lacks a field of Item: price"),
        (Item, {"name": "x", "price": 1, "size": 2}, "it has a field that Item does not have: size"),
        (Item, {"name": "x", "price": "many"}, "it.price is not a Decimal"),
        (tuple[int, date], [1], "it is not a list of 2"),
        (date | int, "x", "it is not a date"),
        (list[date], "x", "it is not a list"),
        (Order, None, "it is not an object with the fields of Order"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(annotation: Any, written: Any, words: str) -> None:
    converter = convert.converter(annotation)
    assert converter is not None
    with pytest.raises(convert.MismatchError, match=words):
        converter(written, "it")


def test_what_does_not_fit_is_permanent() -> None:
    @brrr.handler_no_arg
    async def when(at: datetime) -> None: ...

    @brrr.handler_no_arg
    async def told() -> datetime: ...

    @brrr.handler
    async def asks(app: brrr.App) -> None:
        await app.call(told)()

    result, _ = run(when, at="noon")
    assert result == serve.Lasting("an argument of when has another type: at is not a datetime: 'noon'")
    result, _ = run(asks, FakeHost(lambda call: b'"noon"'))
    assert result == serve.Lasting("the result of told has another type: it is not a datetime: 'noon'")


def test_plain_types_are_left_alone() -> None:
    plain = [int, str, float, bool, None, Any, list, dict, list[int], dict[str, Any], int | None, Literal["a"], "x", set[int]]
    for annotation in plain:
        assert convert.converter(annotation) is None, annotation


def test_values_that_can_not_be_written() -> None:
    for value, words in [
        ({1, 2}, "it is of the type set"),
        ({"a": [Item("x", Decimal(1)), object()]}, r"a\[1\] is of the type object"),
        (Item(float("nan"), Decimal(1)), "name is NaN"),  # type: ignore[arg-type]
        ({ONE: 1, str(ONE): 2}, "has a key of the type UUID"),
    ]:
        with pytest.raises(codec.NotJSONError, match=words):
            codec.encode_result(value)
    itself = Item("x", Decimal(1))
    itself.name = itself  # type: ignore[assignment]
    with pytest.raises(codec.NotJSONError):
        codec.encode_result(itself)


def test_annotations_that_are_not_there_at_run_time() -> None:
    @brrr.handler_no_arg
    async def half(a: "OnlyForTypeCheckers", b: "datetime") -> None:  # type: ignore[name-defined]  # noqa: F821
        assert (a, b) == (1, NOON)

    assert run(half, a=1, b=NOON.isoformat())[0] is None


# Schemas.


def test_schema_of_arguments_and_result() -> None:
    @brrr.handler
    async def described(app: brrr.App, text: str, times: int = 1, *, order: Order | None = None) -> list[str]:
        """Repeats a text.

        Again and again.
        """
        return [text] * times

    assert described.described().description == "Repeats a text.\n\nAgain and again."
    schemas = described.signature.schemas()
    given = schemas["input"]
    assert given["$schema"] == schema.DIALECT
    assert given["required"] == ["text"] and given["additionalProperties"] is False
    assert given["properties"] == {
        "text": {"type": "string"},
        "times": {"type": "integer", "default": 1},
        "order": {"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}], "default": None},
    }
    assert given["$defs"]["Order"]["required"] == ["id", "at", "items"]
    assert given["$defs"]["Order"]["properties"] == {
        "id": {"type": "string", "format": "uuid"},
        "at": {"type": "string", "format": "date-time"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "parent": {"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}]},
        "notes": {"type": "object", "additionalProperties": {"type": "string", "format": "date"}},
    }
    assert given["$defs"]["Item"]["properties"]["color"] == {"enum": ["red", "blue"]}
    assert schemas["output"] == {"$schema": schema.DIALECT, "type": "array", "items": {"type": "string"}}


def test_schemas_of_other_types() -> None:
    for annotation, expected in [
        (Literal["a", 1], {"enum": ["a", 1]}),
        (tuple[int, str], {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[float], {"type": "array", "items": {"type": "number"}}),
        (dict[str, Any], {"type": "object"}),
        (Any, {}),
        (None, {"type": "null"}),
        (Id, {"type": "string", "format": "uuid"}),
        (Model, {"type": "object", "properties": {"at": {"$ref": "#/$defs/At"}}, "$defs": {"At": {"type": "string"}}}),
        (Options, {"$ref": "#/$defs/Options", "$defs": {"Options": {
            "type": "object", "properties": {"since": {"type": "string", "format": "date"}, "name": {"type": "string"}},
            "additionalProperties": False}}}),
    ]:  # fmt: skip
        assert schema.of_result(annotation) == {"$schema": schema.DIALECT, **expected}


def test_without_annotations_there_are_names_and_no_result() -> None:
    @brrr.handler
    async def fib(app, n, salt=None, **more):
        return n

    assert fib.signature.schemas() == {
        "input": {
            "$schema": schema.DIALECT,
            "type": "object",
            "properties": {"n": {}, "salt": {"default": None}},
            "required": ["n"],
        }
    }
    assert [name for name, _ in fib.described().pairs()] == ["input-schema"]


def test_what_can_not_be_said_is_left_out_of_schemas() -> None:
    class Odd(enum.Enum):
        SET = frozenset({1})

    class Broken:
        @classmethod
        def model_validate(cls, value: Any) -> "Broken": ...

        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            raise RuntimeError

    @brrr.handler_no_arg
    async def odd(a: Odd = Odd.SET, b: Broken = Broken(), *, c: float = float("inf")) -> Odd: ...  # noqa: B008

    @brrr.handler_no_arg
    async def broken(b: Broken = Broken(), *, c: float = float("inf")) -> None: ...  # noqa: B008

    assert odd.signature.schemas() == {"input": {"$schema": schema.DIALECT}, "output": {"$schema": schema.DIALECT}}
    assert broken.signature.schemas()["input"]["properties"] == {"b": {}, "c": {"type": "number"}}
    assert odd.described().pairs()


def test_own_texts_and_schemas_come_first() -> None:
    @brrr.handler_no_arg(description="Short.", output_schema={"type": "string"})
    async def own(n: int) -> int:
        """Long."""
        return n

    options = own.described()
    assert options.description == "Short." and options.output_schema == {"type": "string"}
    assert options.input_schema is not None and options.input_schema["properties"] == {"n": {"type": "integer"}}


# Details, and fields of log records.


def test_details_go_out_and_come_in() -> None:
    @brrr.handler_no_arg
    async def permanent() -> None:
        raise brrr.PermanentError("attached", details={"code": 7, "at": NOON})

    @brrr.handler_no_arg
    async def retryable() -> None:
        raise brrr.RetryableError("later", details=[1])

    @brrr.handler_no_arg
    async def grouped() -> None:
        raise ExceptionGroup("two", [ValueError("a"), brrr.PermanentError("b", details="why")])

    @brrr.handler_no_arg
    async def wrong() -> None:
        raise brrr.PermanentError("attached", details={1, 2})

    assert run(permanent)[0] == serve.Lasting("attached", b'{"code": 7, "at": "2024-07-01T12:00:00+00:00"}')
    assert run(retryable)[0] == serve.Retryable("later", b"[1]")
    assert run(grouped)[0].details == b'"why"'
    result = run(wrong)[0]
    assert result.details is None and result.message.startswith("attached\n(its details are left out, as they are not JSON")

    def failure(details: bytes | None) -> brrr.Failure:
        return brrr.Failure("error", "permanent", "attached", 1, [], details)

    assert brrr.CallFailedError(failure(b'{"code": 7}')).details == {"code": 7}
    assert brrr.CallFailedError(failure(None)).details is None
    assert brrr.CallFailedError(failure(b"\xff")).details == b"\xff"


def test_the_details_of_a_child_are_passed_on() -> None:
    @brrr.handler
    async def passes(app):
        await app.call("fails")()

    failure = brrr.Failure("error", "fails", "attached", 1, ["fails: attached"], b'{"code": 7}')
    assert run(passes, FakeHost(lambda call: failure))[0] == serve.ChildFailed(failure)


def test_fields_of_log_records() -> None:
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            self.format(record)
            records.append(record)

    class Odd:
        def __repr__(self) -> str:
            raise ValueError

    logger = logging.getLogger("test_fields")
    logger.addHandler(Keeps())
    logger.setLevel(logging.INFO)
    logger.info("with %s", "fields", extra={"a": 1, "b": "two", "c": None, "d": [True, Color.RED], "e": NOON, "f": {1}, "g": Odd()})
    logger.info("without")
    assert fields.of(records[0]) == [
        ("a", "1"),
        ("b", "two"),
        ("c", "null"),
        ("d", '[true, "red"]'),
        ("e", NOON.isoformat()),
        ("f", "{1}"),
        ("g", "(Odd, whose text can't be shown: ValueError)"),
    ]
    assert fields.of(records[1]) == []
