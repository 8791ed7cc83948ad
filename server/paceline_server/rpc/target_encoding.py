"""Targets and names in the words of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from paceline.v1 import targets_pb2
from paceline_server.routing.catalog import ModelKind
from paceline_server.routing.directory import ModelStatus, TargetState, TargetStatus
from paceline_server.rpc import enums
from paceline_server.rpc.encoding import encodable, encode_target, timestamp
from paceline_server.rpc.race_definition import write_race_definition
from paceline_server.strategies.racing.spec import RaceSpec


def encode_status(status: TargetStatus) -> targets_pb2.TargetStatus:
    """One target's health."""
    own = status.own
    wire = targets_pb2.TargetStatus(
        target=encode_target(status.target),
        state=enums.TARGET_STATE[own.state],
        reason=encodable(own.reason),
        round_count=own.rounds,
        consecutive_failure_count=own.failures,
        benched_by_operator=own.by_operator,
    )
    if own.cause is not None:
        wire.cause = enums.FAILURE_CLASS[own.cause]
    if own.since:
        wire.since_time.CopyFrom(timestamp(own.since))
    if own.state is TargetState.BENCHED:
        wire.until_time.CopyFrom(timestamp(own.until))
    if status.provider.state is not TargetState.ACTIVE:
        wire.provider_hold.CopyFrom(_provider_hold(status))
    if status.price is not None:
        price = status.price
        wire.price.CopyFrom(
            targets_pb2.TargetPrice(
                input_nano_usd=price.input_nano_usd,
                cached_input_nano_usd=price.cached_input_nano_usd,
                cache_write_nano_usd=price.cache_write_nano_usd,
                output_nano_usd=price.output_nano_usd,
                version=price.version,
            )
        )
    return wire


def encode_model(model: ModelStatus, races: Mapping[str, RaceSpec]) -> targets_pb2.ModelEntry:
    """One name; `races` has all those that are races."""
    definition = targets_pb2.ModelDefinition()
    match model.definition.kind:
        case ModelKind.ALIAS:
            definition.alias.spec = model.definition.specs[0]
        case ModelKind.CHAIN:
            definition.chain.models.extend(model.definition.specs)
        case ModelKind.RACE:
            write_race_definition(definition.race, races[model.name])
    return targets_pb2.ModelEntry(
        name=model.name,
        kind=enums.MODEL_KIND[model.definition.kind],
        definition=definition,
        targets=map(encode_target, model.targets),
        source=targets_pb2.MODEL_SOURCE_CONFIGURATION,
        available_now=model.available,
        description=model.definition.description,
    )


def _provider_hold(status: TargetStatus) -> targets_pb2.ProviderHold:
    record = status.provider
    hold = targets_pb2.ProviderHold(
        name=status.provider_name,
        state=enums.TARGET_STATE[record.state],
        reason=encodable(record.reason),
        since_time=timestamp(record.since),
        benched_by_operator=record.by_operator,
    )
    if record.cause is not None:
        hold.cause = enums.FAILURE_CLASS[record.cause]
    if record.state is TargetState.BENCHED:
        hold.until_time.CopyFrom(timestamp(record.until))
    return hold
