"""Everything that can be set, in one typed place. Reads the environment (FLOWER_…); the command line overrides it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flower.core.errors import ConfigurationError, did_you_mean

PREFIX = "FLOWER_"


class Settings(BaseSettings):
    """The settings of one process. Every field is `FLOWER_<FIELD>` in the environment; times are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    database_url: str | None = None
    schema_name: str = Field(default="public", validation_alias="FLOWER_SCHEMA", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    concurrency: int = Field(default=100, ge=1, le=10_000)
    grace: float = Field(default=25, ge=0)
    token: str | None = Field(default=None, min_length=8)
    allowed_host: Annotated[tuple[str, ...], NoDecode] = ()
    http_allow: Annotated[tuple[str, ...], NoDecode] = ()
    on_failure: str | None = Field(default=None, pattern=r"^https?://")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    lease: float = Field(default=30, gt=0, allow_inf_nan=False)
    beat: float = Field(default=3, gt=0, allow_inf_nan=False, validate_default=True)
    probe: float = Field(default=5, gt=0, allow_inf_nan=False)

    @field_validator("allowed_host", "http_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("beat")
    @classmethod
    def _fits_the_lease(cls, beat: float, info: ValidationInfo) -> float:
        lease = info.data.get("lease", beat * 3)
        if beat * 3 > lease:
            raise ValueError(f"a beat every {beat:g} s does not keep a lease of {lease:g} s: at most a third of it")
        return beat

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the HTTP interface."""
        return self.host in {"127.0.0.1", "::1", "localhost"}


def read_settings(**overrides: object) -> Settings:
    """Return the settings of the environment, with *overrides* (those that are not None) on top.

    Without FLOWER_DATABASE_URL the ancestor's DB_USER, DB_PASS, DB_HOST, DB_PORT and DB_NAME are honoured.
    Raises ConfigurationError for a name that no setting has, and for a value that does not fit.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields if name != "schema_name"} | {PREFIX + "SCHEMA"}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1)
            raise ConfigurationError(f"{name} is no setting of Flower" + did_you_mean(near))
    given = {name: value for name, value in overrides.items() if value is not None}
    if "database_url" not in given and PREFIX + "DATABASE_URL" not in os.environ:
        given["database_url"] = _ancestor_url(os.environ)
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = (
            f"{PREFIX}{'_'.join(str(part) for part in problem['loc']).upper().removeprefix(PREFIX)}: {problem['msg']}" for problem in error.errors()
        )
        raise ConfigurationError("; ".join(lines)) from None


def _ancestor_url(environ: Mapping[str, str]) -> str | None:
    if not any(environ.get(name) for name in ("DB_HOST", "DB_NAME", "DB_USER")):
        return None
    user, password, name = environ.get("DB_USER") or "flower", environ.get("DB_PASS"), environ.get("DB_NAME") or "flower"
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    place = f"{environ.get('DB_HOST') or 'localhost'}:{environ.get('DB_PORT') or '5432'}"
    return f"postgresql://{login}@{place}/{quote(name, safe='')}"
