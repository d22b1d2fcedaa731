"""Says what no terminal, record or spreadsheet should take as it is, and raises with it."""

from __future__ import annotations

from dataclasses import dataclass

from nautilus_trader.model import BarType
from nautilus_trader.trading import Strategy, StrategyConfig

STEERING = "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066, 0xD800]))


@dataclass
class SayingConfig(StrategyConfig):
    """What is said: nothing, all that steers, or a message of so many million characters."""

    bar_type: BarType
    text: str = ""


class Saying(Strategy):
    """Raises at once, unless its text is long or begins as a formula does."""

    def __init__(self, config: SayingConfig) -> None:
        super().__init__(config)
        self.text = config.text

    def on_start(self) -> None:
        if self.text == "huge":
            raise RuntimeError("5" * 50_000_000)
        if not self.text.startswith(("=", "long")):
            raise RuntimeError(f"{STEERING}]0;title\a{self.text}")
