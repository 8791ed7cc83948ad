"""The simulated models that a server without configuration offers, and one made for showing failover."""

from __future__ import annotations

from paceline_server.completion.usage import Price
from paceline_server.providers.simulated_pace import Exponential, Fixed, LogNormal
from paceline_server.providers.simulated_script import Cut
from paceline_server.providers.simulated_settings import SimulatedModel

_NANO_USD_PER_CENT = 10_000_000


def default_models() -> dict[str, SimulatedModel]:
    """Models by name: `steady`, `slow`, `flaky` and `broken`, each true to its name."""
    return {
        "steady": SimulatedModel(
            first_content=LogNormal(median=0.15, sigma=0.2),
            token_interval=Fixed(0.02),
            confidence=0.8,
            price=_price(input_cents=50, output_cents=150),
        ),
        "slow": SimulatedModel(
            first_content=LogNormal(median=2.0, sigma=0.5),
            token_interval=Fixed(0.06),
            confidence=0.9,
            price=_price(input_cents=300, output_cents=1500),
        ),
        "flaky": SimulatedModel(
            first_content=LogNormal(median=0.2, sigma=0.4),
            token_interval=Exponential(0.02),
            failure_rate=0.2,
            cut_rate=0.2,
            confidence=0.6,
            price=_price(input_cents=15, output_cents=60),
        ),
        "broken": SimulatedModel(failure_rate=1.0, price=_price(input_cents=15, output_cents=60)),
    }


def tiring_model(*, cut_count: int = 2, after_tokens: int = 12) -> SimulatedModel:
    """A model whose first `cut_count` answers break after `after_tokens` tokens; then it is well."""
    return SimulatedModel(
        first_content=Fixed(0.15),
        token_interval=Fixed(0.02),
        price=_price(input_cents=50, output_cents=150),
        script=(Cut(after_tokens),) * cut_count,
    )


def _price(*, input_cents: int, output_cents: int) -> Price:
    """A price told in US cents per million tokens."""
    return Price(input_cents * _NANO_USD_PER_CENT, output_cents * _NANO_USD_PER_CENT)
