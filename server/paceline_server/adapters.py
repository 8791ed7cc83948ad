"""From the settings of a provider to the adapter that speaks to it: a part of the composition root.

One function a wire format. What the settings mean is theirs to say; nothing is checked again here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from paceline_server.providers.anthropic import AnthropicProvider
from paceline_server.providers.anthropic_settings import AnthropicSettings as AnthropicDialect
from paceline_server.providers.anthropic_settings import ThinkingControl
from paceline_server.providers.base import Provider
from paceline_server.providers.failures import FailureRule, rule
from paceline_server.providers.gemini import GeminiProvider
from paceline_server.providers.gemini_settings import GeminiSettings as GeminiDialect
from paceline_server.providers.http_provider import HttpOptions
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.openai import OpenAIProvider
from paceline_server.providers.openai_settings import CacheHint, PrefillMark
from paceline_server.providers.openai_settings import OpenAISettings as OpenAIDialect
from paceline_server.providers.prices import PriceList
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_models import default_models, tiring_model
from paceline_server.providers.simulated_pace import DISTRIBUTION_KINDS, Distribution
from paceline_server.providers.simulated_script import STEP_KINDS, AfterScript
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.settings.providers import (
    AnthropicSettings,
    ClassifyRule,
    GeminiSettings,
    HttpSettings,
    OpenAISettings,
    ProviderSettings,
    SimulatedSettings,
)
from paceline_server.settings.simulated import PaceForms, SimulatedTargetSettings


def model_names(settings: ProviderSettings) -> Iterable[str]:
    """The models that the configuration lists; others of a provider may be called too."""
    if isinstance(settings, SimulatedSettings):
        return _simulated_models(settings)
    return settings.targets


def make_provider(name: str, settings: ProviderSettings, connect_timeout: float) -> Provider:
    """The adapter for one provider; it opens nothing before its first call.

    Args:
        connect_timeout: Seconds.
    """
    if isinstance(settings, SimulatedSettings):
        return SimulatedProvider(name, _simulated_models(settings), seed=settings.seed)
    options = _options(settings, connect_timeout)
    if isinstance(settings, AnthropicSettings):
        return _anthropic(name, settings, options)
    if isinstance(settings, GeminiSettings):
        return _gemini(name, settings, options)
    return _openai(name, settings, options)


def _openai(name: str, settings: OpenAISettings, options: HttpOptions) -> OpenAIProvider:
    return OpenAIProvider(
        name,
        settings.base_url,
        _key(settings),
        settings=openai_dialect(settings),
        key_header=settings.key_header,
        **options,
    )


def _anthropic(name: str, settings: AnthropicSettings, options: HttpOptions) -> AnthropicProvider:
    control = settings.thinking_control
    dialect = AnthropicDialect(
        version=settings.version,
        betas=settings.beta,
        default_max_token_count=settings.default_max_output_token_count,
        thinking_control=None if control is None else ThinkingControl(control),
    )
    return AnthropicProvider(
        name,
        settings.base_url,
        _key(settings),
        settings=dialect,
        key_header=settings.key_header,
        **options,
    )


def _gemini(name: str, settings: GeminiSettings, options: HttpOptions) -> GeminiProvider:
    dialect = GeminiDialect(
        api_version=settings.api_version,
        sends_call_ids=settings.sends_call_ids,
        asks_logprobs=settings.asks_logprobs,
    )
    return GeminiProvider(name, settings.base_url, _key(settings), settings=dialect, **options)


def _key(settings: HttpSettings) -> str | Callable[[], str]:
    return settings.key.reveal if settings.key else ""


def _options(settings: HttpSettings, connect_timeout: float) -> HttpOptions:
    """What all HTTP providers take; the configuration's rules are tried before the vendor's."""
    vendor = settings.known_vendor
    return HttpOptions(
        transport=AiohttpTransport(connect_timeout=connect_timeout),
        profile_of=_profiles(settings),
        rules=[*map(_rule, settings.classify), *(vendor.rules if vendor else ())],
        headers={header: value.reveal() for header, value in settings.headers.items()},
        max_answer_bytes=settings.max_answer_size,
    )


def _profiles(settings: HttpSettings) -> Callable[[str], Profile]:
    """What finds a model's profile: the configuration, over the price list, over the vendor's facts."""
    vendor = settings.known_vendor
    if vendor is None:
        return settings.profile
    if not vendor.price_list:
        return lambda model: settings.profile(model, vendor.profile_of(model))
    prices = PriceList(vendor.price_list)

    def profile(model: str) -> Profile:
        known, listed = vendor.profile_of(model), prices.find(model)
        window = known.context_token_count or listed.context_token_count
        return settings.profile(model, replace(known, price=listed.price, context_token_count=window))

    return profile


def _rule(told: ClassifyRule) -> FailureRule:
    return rule(
        told.failure_class,
        status=() if told.status is None else (told.status,),
        code=() if told.code is None else (told.code,),
        pattern=told.pattern or "",
    )


def openai_dialect(settings: OpenAISettings) -> OpenAIDialect:
    """How requests are written for a provider of the OpenAI format."""
    return OpenAIDialect(
        max_tokens_field=settings.max_output_field,
        seed_field=settings.seed_field,
        system_role=settings.system_role,
        reasoning_field=settings.reasoning_field or "",
        prefill=PrefillMark(settings.prefill),
        omit=settings.omit,
        accepts_top_k=settings.accepts_top_k,
        cache_hint=CacheHint(settings.prompt_cache),
        asks_logprobs=settings.asks_logprobs,
        asks_stream_usage=settings.asks_stream_usage,
    )


def _simulated_models(settings: SimulatedSettings) -> Mapping[str, SimulatedModel]:
    if settings.targets is None:
        return {**default_models(), "tiring": tiring_model()}
    return {name: _simulated_model(target) for name, target in settings.targets.items()}


def _simulated_model(settings: SimulatedTargetSettings) -> SimulatedModel:
    plain = settings.plain(
        leave_out={"price", "tool_calls", "first_content", "token_interval", "script", "after_script"}
    )
    return SimulatedModel(
        **plain,
        price=settings.price.to_price() if settings.price else None,
        tool_calls=tuple((call.name, call.arguments) for call in settings.tool_calls),
        first_content=_pace(settings.first_content),
        token_interval=_pace(settings.token_interval),
        script=tuple(STEP_KINDS[step.kind](**step.form.plain()) for step in settings.script),
        after_script=AfterScript[settings.after_script.upper()],
    )


def _pace(settings: PaceForms) -> Distribution:
    return DISTRIBUTION_KINDS[settings.kind](**settings.form.plain())
