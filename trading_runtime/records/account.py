"""What the account of a deployment holds, and who holds an account or a run, typed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading_runtime.records.events import Record
from trading_runtime.records.forms import parse_record, read_as, to_document

ACCOUNT_FORMAT = 1


class OtherFormatError(ValueError):
    """Another version wrote the account, in a format that this one does not read."""


@dataclass(frozen=True)
class HeldPosition(Record):
    """A position; above zero is long."""

    instrument: str
    quantity: str
    average_price: str


@dataclass(frozen=True)
class OrderTerms(Record):
    """What an order says besides the usual, by the engine's names and in its words."""

    post_only: bool | None = None
    quote_quantity: bool | None = None
    expire_time: int | None = None
    """Nanoseconds since the epoch."""
    display_qty: str | None = None
    trigger_type: str | None = None
    trigger_instrument_id: str | None = None
    emulation_trigger: str | None = None
    activation_price: str | None = None
    limit_offset: str | None = None
    trailing_offset: str | None = None
    trailing_offset_type: str | None = None
    contingency_type: str | None = None
    order_list_id: str | None = None
    parent_order_id: str | None = None
    """The order whose fill it waits for."""
    linked_order_ids: Sequence[str] | None = None
    tags: Sequence[str] | None = None


@dataclass(frozen=True)
class RestingOrder(Record):
    """An order that the venue held."""

    order_id: str
    instrument: str
    side: str
    type: str
    quantity: str
    """What is not filled yet."""
    price: str | None
    trigger_price: str | None
    time_in_force: str
    reduce_only: bool
    terms: OrderTerms | None = None


@dataclass(frozen=True, kw_only=True)
class LossesSoFar(Record):
    """By what ``max_loss`` and ``max_daily_loss`` judge; amounts in the statistics currency."""

    first: str
    """What the account was worth when its first order was checked."""
    midnight: int
    """The last midnight UTC, nanoseconds since the epoch."""
    at_midnight: str
    """What it was worth then."""
    reached: Mapping[str, str]
    """The limits that were reached, by rule."""


@dataclass(frozen=True, kw_only=True)
class AccountState(Record):
    """What an account holds, and what its strategy saved."""

    format: int = ACCOUNT_FORMAT
    session: str
    """The session that wrote it."""
    terms: str
    """The digest of the deployment's ``execution`` section."""
    at: int
    """The data's time, nanoseconds since the epoch: rows up to it were seen."""
    is_complete: bool
    """Whether the data had ended."""
    balances: Sequence[str]
    positions: Sequence[HeldPosition]
    orders: Sequence[RestingOrder]
    strategy: Mapping[str, str]
    """What the strategy's ``save()`` returned, in base64."""
    lines: int
    """How many lines of that session's journal it covers."""
    sessions: Sequence[str]
    """At a venue: the sessions whose journals say what is known, oldest first."""
    losses: LossesSoFar | None = None
    """``None`` without limits of losses, or before the first order."""

    @property
    def saved(self) -> dict[str, bytes]:
        """What the strategy's ``load()`` takes."""
        return {key: base64.b64decode(value) for key, value in self.strategy.items()}

    def to_json(self) -> bytes:
        """Return the content of ``state.json``."""
        return json.dumps(to_document(self), indent=1).encode() + b"\n"


@dataclass(frozen=True, kw_only=True)
class LeaseRecord(Record):
    """Who has a run or an account in S3; it ends unless it is renewed."""

    token: int | None = None
    """Grows with each holder; of accounts."""
    holder: str = ""
    """A process."""
    session: str | None = None
    """Of accounts."""
    renewals: int = 0
    """Of runs; makes each renewal differ: the tag of an object may be a digest of its content."""
    until: float = 0.0
    """Of accounts: when it expires by its holder's clock, seconds since the epoch; 0: released."""

    def to_json(self) -> bytes:
        """Return the content of its object."""
        return json.dumps(to_document(self)).encode() + b"\n"


def parse_account(content: bytes) -> AccountState:
    """Return what an account holds; raises ``ValueError`` when the bytes are damaged.

    That is an ``OtherFormatError`` when another version wrote them.
    """
    document = json.loads(content)
    if isinstance(document, dict) and document.get("format", ACCOUNT_FORMAT) != ACCOUNT_FORMAT:
        raise OtherFormatError(
            f"has format {str(document['format'])[:80]}, and this version reads {ACCOUNT_FORMAT}"
        )
    state = read_as(AccountState, document)
    for place, text in _numbers(state):
        if not _is_number(text):
            raise ValueError(f"{place}: {text[:80]!r} is no number")
    for name, keys in (
        ("positions", [item.instrument for item in state.positions]),
        ("orders", [item.order_id for item in state.orders]),
        ("balances", [item.partition(" ")[2] for item in state.balances]),
    ):
        if len(set(keys)) < len(keys):
            raise ValueError(f"{name}: {max(keys, key=keys.count)[:80]!r} is there twice")
    for key, text in state.strategy.items():
        try:
            base64.b64decode(text, validate=True)
        except ValueError:
            raise ValueError(f"strategy.{key}: {text[:80]!r} is no base64") from None
    return state


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _numbers(state: AccountState) -> Iterator[tuple[str, str]]:
    for number, position in enumerate(state.positions):
        for text in (position.quantity, position.average_price):
            yield f"positions[{number}]", text
    for number, order in enumerate(state.orders):
        for item in (order.quantity, order.price, order.trigger_price):
            if item is not None:
                yield f"orders[{number}]", item
    for number, balance in enumerate(state.balances):
        yield f"balances[{number}]", balance.partition(" ")[0]
    if (losses := state.losses) is not None:
        for text in (losses.first, losses.at_midnight, *losses.reached.values()):
            yield "losses", text


def parse_lease(content: bytes) -> LeaseRecord:
    """Return a lease; one that is damaged belongs to no one."""
    return parse_record(content, LeaseRecord) or LeaseRecord()
