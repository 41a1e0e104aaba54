"""What workers said of their programs, held against definitions, registrations and values, before anything runs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from annotated_types import Ge
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, Json, SecretStr, ValidationError, WithJsonSchema

from flower.core.model import Program
from flower.database.pool import Connection, Pool
from flower.sdk import hints
from flower.sdk.results import converter
from flower.sdk.task import Task, task
from flower.sdk.values import Unwritable
from tests.sql.engine import Engine, define
from tests.sql.test_workflows import PLAIN, code, refusal, register


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Page(BaseModel):
    url: str
    links: list[str] = []


@dataclass
class Point:
    x: int
    y: float = 0


class Colourful(Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Colourful | None:
        return cls.RED if str(value).lower() == "red" else None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")
    x: int = Field(validation_alias=AliasChoices("ex", "url"), default=0)


class Coercing(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    x: str


class Pair(NamedTuple):
    x: int
    y: int = 0


Split = Annotated[list[str], BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value)]


def resize(url: str, width: int, day: date | None = None) -> None: ...


def program(fn: Any, name: str) -> Program:
    made: Task[..., Any, Any] = Task(fn, name, "test:1", {})
    return made.program


async def announce(pool: Pool, *programs: Program) -> Engine:
    return await Engine(pool).enroll(*programs)


@pytest.fixture(autouse=True)
async def engine(pool: Pool) -> Engine:
    return await announce(pool, program(resize, "resize"), Program("Ok", None))


@pytest.mark.parametrize(
    ("parameters", "path", "told"),
    [
        ({"url": "u", "witdh": 1}, "witdh", "resize takes no parameter of this name; it takes url, width, day"),
        ({"url": "u", "width": "wide"}, "width", 'integer is wanted, not the text "wide"'),
        ({"url": ["u"], "width": 1}, "url", "string is wanted"),
        ({"url": "u", "width": {"$literal": {"$task": "a"}}}, "width", "integer is wanted"),
        ({"url": "u", "width": 1, "day": "tomorrow"}, "day", "date is wanted"),
    ],
)
async def test_a_row_whose_parameters_do_not_fit_its_program_is_refused_when_it_commits(
    connection: Connection, parameters: Any, path: str, told: str
) -> None:
    (detail,) = await refusal(
        connection, "INSERT INTO ms_task_definition (task_id, task_seq, program, parameters) VALUES ('w', 7, 'resize', $1)", json.dumps(parameters)
    )

    assert detail["path"] == f"steps[7].parameters.{path}"
    assert told in detail["message"]
    assert await connection.fetchval("SELECT count(*) FROM ms_task_definition WHERE task_id = 'w'") == 0


async def test_texts_of_the_five_pairs_references_and_programs_that_nobody_knows_are_no_fault(connection: Connection) -> None:
    await connection.execute("""
        INSERT INTO ms_task_definition (task_id, task_seq, program, param1_key, param1_value, param2_key, param2_value)
            VALUES ('w', 1, 'resize', 'width', '400', 'url', '7'), ('w', 2, 'unknown', 'width', 'wide', NULL, NULL)""")
    await define(connection, "v", {"name": "a"}, {"program": "resize", "parameters": json.dumps({"url": {"$env": "URL"}, "width": {"$task": "a"}})})

    assert await register(connection)
    assert await register(connection, workflow="v")


async def test_every_wrong_parameter_is_named_at_once(connection: Connection) -> None:
    steps = [
        PLAIN | {"program": "resize", "parameters": {"with": 1, "width": "x"}},
        PLAIN | {"seq": 2, "name": "two", "program": "resize", "parameters": {"url": 1}},
    ]

    found = await refusal(connection, "SELECT kr_define($1, NULL, 'http', false)", json.dumps({"workflow": "w", "steps": steps, "parameters": {}}))

    assert [detail["path"] for detail in found] == [
        "steps[1].parameters.url",
        "steps[1].parameters.width",
        "steps[1].parameters.with",
        "steps[2].parameters.url",
        "steps[2].parameters.width",
    ]


async def test_a_default_that_does_not_fit_its_own_schema_is_refused(connection: Connection) -> None:
    whole = {"workflow": "w", "steps": [PLAIN], "parameters": {"n": {"schema": {"type": "integer"}, "default": "many"}}}

    (detail,) = await refusal(connection, "SELECT kr_define($1, NULL, 'http', false)", json.dumps(whole))

    assert detail["path"] == "parameters.n.default"


async def test_code_that_is_newer_than_the_workers_decides_and_other_changes_are_not_held_up(connection: Connection) -> None:
    newer = PLAIN | {"program": "resize", "parameters": {"url": "u", "size": 3}}

    assert await code(connection, [newer], "hash", parameters={}) == "written"
    await connection.execute("UPDATE ms_task_definition SET task_priority = 3 WHERE task_id = 'w'")
    found = await refusal(connection, "UPDATE ms_task_definition SET parameters = parameters || '{\"more\": 1}' WHERE task_id = 'w'")
    assert "resize takes no parameter" in found[0]["message"]


async def test_while_two_releases_run_nothing_is_refused_by_what_only_one_of_them_says(pool: Pool, connection: Connection) -> None:
    def newer(url: str, size: int, width: int = 3) -> None: ...

    await define(connection, "w", {"program": "resize", "parameters": json.dumps({"url": "u"})})
    await announce(pool, program(newer, "resize"))

    assert await register(connection)
    await define(connection, "v", {"program": "resize", "parameters": json.dumps({"url": "u", "width": "wide"})})


async def test_rows_of_before_there_were_revisions_are_left_to_run_and_recognised_as_edited(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            'INSERT INTO ms_task_definition (task_id, task_seq, program, parameters) VALUES (\'w\', 1, \'resize\', \'{"url": "u", "width": 1, "size": 3}\')'
        )

    assert await code(connection, [PLAIN], "hash") == "edited"
    assert await register(connection)


async def test_a_value_goes_only_to_the_steps_that_take_it_by_name_and_is_held_against_no_other(pool: Pool, connection: Connection) -> None:
    def any_name(url: int = 0, **more: Any) -> None: ...
    def with_secret(url: int = 0, secret: str = "") -> None: ...

    await announce(pool, program(any_name, "any_name"), program(with_secret, "with_secret"))
    await define(
        connection,
        "w",
        {"program": "resize", "parameters": json.dumps({"width": 1})},
        {"program": "any_name"},
        {"program": "with_secret", "parameters": json.dumps({"secret": {"$env": "TOKEN"}})},
    )

    assert await register(connection, {"url": "u"})
    found = await refusal(connection, "SELECT flower_register('w', '{\"bad\": 1, \"url\": [1]}')")
    assert [detail["path"] for detail in found] == ["parameters.url"]  # any_name takes whatever is left


async def test_what_nobody_has_given_is_missed_at_registration_and_a_reference_or_a_gift_will_do(connection: Connection) -> None:
    await define(connection, "w", {"name": "a"}, {"program": "resize", "parameters": json.dumps({"url": {"$task": "a"}})})

    (detail,) = await refusal(connection, "SELECT flower_register('w', '{\"url\": \"u\"}')")

    assert detail == {"path": "parameters.width", "message": "is missing: resize requires it, and step 2 of the workflow has none"}
    assert await connection.fetchval("SELECT count(*) FROM kr_flow_stat") == 0
    assert await register(connection, {"width": 3})


async def test_what_is_given_to_rows_must_fit_the_program_that_takes_it(connection: Connection) -> None:
    await define(connection, "w", {"program": "resize", "parameters": json.dumps({"url": "u"})})

    (detail,) = await refusal(connection, "SELECT flower_register('w', '{\"width\": [1]}')")

    assert detail == {"path": "parameters.width", "message": "integer is wanted, not [1]"}


# The database never refuses what a task would take.

HINTS: list[Any] = [
    *(int, float, bool, str, bytes, Decimal, date, datetime, time, timedelta, UUID, Path, Colour, Page, Point, Any, None),
    *(list[int], dict[str, float], tuple[int, str], tuple[int, ...], set[int], list[Page], dict[str, list[date]], Page | None, int | str),
    *(Split, Colourful, Aliased, Pair, IPv4Address, Json[list[int]], SecretStr, Coercing),
    *(date | None, Literal["a", 1], Literal["a"] | None, Annotated[int, Ge(3)], list[int] | dict[str, int], bool | None, float | None),
]
SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -5, 3, 1.0, 1.5, 1e3, 1767225600, 1767225600.5, 10**20),
    *("", "1", "1.0", "-7", "1e3", "0", "true", "Yes", "off", "Y", "null", "[1]", "[]", '{"x": 1}', '{"url": "u"}', '"a"', "a", "red", "b\u00e9"),
    *(
        "2026-01-31",
        "2026-01-31T10:00:00Z",
        "2026-01-31 10:00",
        "2026-01-31T00:00:00",
        "2026-01-31T10:00:00.5+02:00",
        "1767225600",
        "10:30",
        "10:30:01Z",
    ),
    *("P1D", "3 days, 4:05:06", "1 days", " 1 ", "1_000", "NaN", "inf", "01a217dc-5e5c-7638-905b-bd32a57b9739", "01a217dc5e5c7638905bbd32a57b9739"),
    *("urn:uuid:01a217dc-5e5c-7638-905b-bd32a57b9739", "{01a217dc-5e5c-7638-905b-bd32a57b9739}"),
]
VALUES: list[Any] = [
    *SCALARS,
    *({"ex": 1}, {"x": 1.5}, {"url": 1}),
    *([], {}, [1, "a"], ["1", "a"], {"x": 1, "y": 2}, {"url": "u", "links": ["a"]}, {"url": "u", "other": 1}, [{"url": "u"}], {"x": ["2026-01-31"]}),
    *([value] for value in SCALARS),
    *({"x": value} for value in SCALARS),
]


def taker(hint: Any) -> Task[..., Any, Any]:
    async def take(value: Any) -> None: ...

    take.__annotations__ = {"value": hint}
    made: Task[..., Any, Any] = Task(take, "take", "test:1", {})
    return made


async def test_the_database_refuses_no_value_that_a_task_would_take(connection: Connection) -> None:
    cases = [
        (hint, json.dumps(hints.json_schema(hint)), value)
        for hint, taken in ((hint, taker(hint)) for hint in HINTS)
        for value in VALUES
        if not taken.parameters.problems("value", value)
    ]
    rows = await connection.fetch(
        "SELECT n, kr_misfit(schema, value, 'v') AS odd FROM unnest($1::jsonb[], $2::jsonb[]) WITH ORDINALITY u (schema, value, n)",
        [schema for _, schema, _ in cases],
        [json.dumps(value) for _, _, value in cases],
    )

    refused = [(cases[row["n"] - 1][0], cases[row["n"] - 1][2], row["odd"]) for row in rows if row["odd"] is not None]
    assert len(cases) > 600

    assert refused == []
    wrong = await connection.fetchval("""SELECT count(*) FROM unnest('{integer,boolean,array,object,number}'::text[]) kind
        WHERE kr_misfit(jsonb_build_object('type', kind), '"a"', 'v') IS NULL""")
    assert wrong == 0


async def test_as_a_result_fits_whatever_a_function_may_return_and_no_text_that_would_be_something_else(connection: Connection) -> None:
    cases = []
    for hint in HINTS:
        convert = converter(hint) or (lambda value: value)
        for value in VALUES:
            try:
                returned = convert(hints.adapter(hint).validate_python(value))
            except (ValidationError, Unwritable):
                continue
            if not isinstance(returned, float) or math.isfinite(returned):
                cases.append((hint, hints.json_schema(hint), returned))
    cases = [case for case in cases if "Infinity" not in str(json.dumps(case[2])) and "NaN" not in json.dumps(case[2])]
    strict = "kr_misfit(schema || '{\"x-strict\": true}', value, 'v')"
    rows = await connection.fetch(
        f"SELECT n, {strict} AS odd FROM unnest($1::jsonb[], $2::jsonb[]) WITH ORDINALITY u (schema, value, n)",
        [json.dumps(schema) for _, schema, _ in cases],
        [json.dumps(value) for _, _, value in cases],
    )

    assert len(cases) > 600
    assert [(cases[row["n"] - 1][0], cases[row["n"] - 1][2], row["odd"]) for row in rows if row["odd"] is not None] == []
    for schema, value in [
        ({"type": "boolean"}, "yes"),
        ({"type": "integer"}, "5"),
        ({"enum": ["a", "b"], "type": "string"}, "true"),
        ({"enum": [1, 2], "type": "integer"}, 7),
        (hints.json_schema(dict[str, bool]), {"ok": "true"}),
    ]:
        odd = await connection.fetchval(
            f"SELECT {strict} FROM (SELECT $1::jsonb AS schema, $2::jsonb AS value) one", json.dumps(schema), json.dumps(value)
        )
        assert "is wanted" in odd or "is none of" in odd


@pytest.mark.parametrize("value", ["[" * 20_000 + "]" * 20_000, '{"x": ' * 5_000 + "1" + "}" * 5_000])
async def test_a_value_nested_too_deep_breaks_nothing(connection: Connection, value: str) -> None:
    assert await connection.fetchval('SELECT kr_misfit(\'{"type": "array", "items": {}}\', to_jsonb($1::text), \'v\') IS NOT NULL OR true', value)


class Left(BaseModel):
    inner: Left | Right | None = None
    kind: Literal["left"]


class Right(BaseModel):
    inner: Left | Right | None = None
    kind: Literal["right"]


async def test_no_value_takes_long_to_judge(connection: Connection) -> None:
    value: Any = {"kind": "other"}
    for _ in range(25):
        value = {"inner": value, "kind": "other"}
    many = [{"kind": "left"}] * 10_000
    began = monotonic()
    for hint, one in ((Left | Right | None, value), (list[Left | Right], many), (Any, [1] * 80_000)):
        await connection.fetchval("SELECT kr_misfit($1, $2, 'v')", json.dumps(hints.json_schema(hint)), json.dumps(one))

    assert monotonic() - began < 1


class Odd(BaseModel):
    value: float = math.nan
    text: str = "\ud800"


@pytest.mark.parametrize("hint", [Odd, Annotated[str, Field(pattern="^[^\x00]*$")], Annotated[int, WithJsonSchema({"x": object()})], object()])
async def test_a_hint_whose_schema_cannot_be_stored_keeps_no_worker_from_its_work(pool: Pool, hint: Any) -> None:
    taken, odd = taker(hint), taker(int)
    odd.name = "odd"

    await announce(pool, taken.program, odd.program)

    assert json.dumps(taken.program.accepts, allow_nan=False)


async def test_a_task_says_what_it_takes_and_returns() -> None:
    @task(name="test-types-said")
    def said(url: str, pages: list[Page] | None = None, **more: int) -> Page:
        raise NotImplementedError

    found = said.program

    assert (found.takes, found.requires) == (None, ("url",))
    assert found.accepts["url"] == {"type": "string"}
    assert found.result["properties"]["url"]["type"] == "string"
