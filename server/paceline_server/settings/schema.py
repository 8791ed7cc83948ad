"""The whole configuration as one frozen value; a field's description and kind are its documentation.

Which names a spec may use is not judged here: that is the catalog's, by the check that `load` is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from paceline_server.settings.engines import (
    AttemptSettings,
    HealthSettings,
    HedgeBudgetSettings,
    RetryBudgetSettings,
)
from paceline_server.settings.models import ModelSettings
from paceline_server.settings.providers import ProviderSettings
from paceline_server.settings.secret import refusal
from paceline_server.settings.section import Section
from paceline_server.settings.values import (
    Count,
    Duration,
    Flag,
    Kind,
    Listen,
    Name,
    PositiveDuration,
    ReadableFile,
    Size,
    Spec,
)


def _one_worker(count: int) -> int:
    if count > 1:
        raise refusal(
            "several workers need Redis, to share health and budgets; this is not built in this version",
            "write 1, or start several servers, which know nothing of each other's benches",
        )
    return count


class TlsSettings(Section):
    """Encryption of the listener; without it the connection is plain text."""

    certificate_file: ReadableFile = Field(description="PEM: the server's certificate, then its issuers.")
    private_key_file: ReadableFile = Field(description="PEM: the private key of the certificate.")
    client_ca_file: ReadableFile | None = Field(
        default=None, description="PEM: callers must show a certificate that one of these issued."
    )


class ServerSettings(Section):
    """What takes the connections (rules S7, H6)."""

    listener: Literal["grpcio", "native"] = Field(
        default="grpcio",
        description="grpcio for any network; native, faster and without TLS, for trusted ones.",
    )
    workers: Annotated[Count, Field(ge=1), AfterValidator(_one_worker)] = Field(
        default=1, description="Processes that take calls; this version runs one."
    )


class CallSettings(Section):
    """What holds for every call (rules S1, S3)."""

    maximum_deadline: PositiveDuration = Field(
        default=timedelta(minutes=5), description="The deadline of a call that brings none, and the longest."
    )
    max_message_size: Annotated[Size, Field(ge=1024)] = Field(
        default=16 * 2**20, description="A larger request is refused."
    )


class DrainSettings(Section):
    """How the server stops: not serving, wait, stop accepting, let calls finish."""

    delay: Duration = Field(
        default=timedelta(0),
        description="After saying NOT_SERVING, so that balancers notice before calls are refused.",
    )
    timeout: Duration = Field(default=timedelta(minutes=10), description="How long running calls may go on.")


class LogSettings(Section):
    """The server's log, on standard error (rule S6)."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is written."
    )
    format: Literal["json", "text"] = Field(default="json", description="JSON lines, or lines for people.")


Model = Annotated[
    ModelSettings, Kind("model", "a spec such as openai/gpt-4o-mini, {chain: [...]} or {race: [...]}")
]
Provider = Annotated[ProviderSettings, Kind("provider", "its settings, such as {format: simulated}")]


class Settings(Section):
    """Everything that can be configured."""

    listen: Listen = Field(
        default="127.0.0.1:50051", description="Where calls are accepted; port 0 is any free one."
    )
    tls: TlsSettings | None = Field(default=None, description="Encryption of the listener.")
    server: ServerSettings = Field(default=ServerSettings(), description="What takes the connections.")
    default_model: Spec | None = Field(default=None, description="The spec for calls that name no model.")
    reflection: Flag = Field(default=True, description="Let tools ask the server for its contract.")
    call: CallSettings = Field(default=CallSettings(), description="What holds for every call.")
    drain: DrainSettings = Field(default=DrainSettings(), description="How the server stops.")
    attempts: AttemptSettings = Field(default=AttemptSettings(), description="Clocks and tries.")
    health: HealthSettings = Field(default=HealthSettings(), description="When targets are benched.")
    retry_budget: RetryBudgetSettings = Field(
        default=RetryBudgetSettings(), description="What all calls together may start in addition."
    )
    hedge_budget: HedgeBudgetSettings = Field(
        default=HedgeBudgetSettings(), description="What all calls may start beside slow attempts."
    )
    log: LogSettings = Field(default=LogSettings(), description="The server's log.")
    models: Mapping[Name, Model] = Field(
        default_factory=dict, description="Names for specs: aliases and virtual models."
    )
    providers: Mapping[Name, Provider] = Field(default_factory=dict, description="Where answers come from.")

    @field_validator("server")
    @classmethod
    def _can_do_what_is_asked(cls, server: ServerSettings, info: ValidationInfo) -> ServerSettings:
        # `tls` stands before it; where that is wrong itself, it is told alone.
        if server.listener == "native" and info.data.get("tls") is not None:
            raise refusal(
                "listener is native, which has no TLS, and there is a certificate below tls",
                "write listener: grpcio, or remove tls if all networks that reach the server are trusted",
            )
        return server


def redacted(settings: Settings) -> dict[str, Any]:
    """The settings as plain data for people and programs; secrets are masked."""
    return settings.model_dump(mode="json", by_alias=True, exclude_none=True)
