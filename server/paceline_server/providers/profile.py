"""What is known of one target, as data: its price, its habits, its limits.

Facts only; nothing here calls anyone. A profile is found by provider and model and may be
overridden in the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from paceline_server.completion.usage import Price


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about a target.

    Attributes:
        price: None where no price is known: the cost of a call is then unset, not zero.
        reasons_unseen: The model thinks for minutes without sending anything, so its clocks are longer.
        accepts_prefill: An assistant message at the end of the prompt is continued.
        bills_after_cancel: The provider goes on generating and billing when the connection closes.
        quota_identity: Providers with the same identity share one quota and one set of credentials;
            empty means that the provider stands alone.
    """

    price: Price | None = None
    reasons_unseen: bool = False
    accepts_prefill: bool = False
    bills_after_cancel: bool = False
    quota_identity: str = ""
