"""Who has spent what: one account in Redis, which survives restarts and is shared by versions side by side.

Every step is one script, so that two requests cannot spend the same dollar. None of the amounts has an expiry: Redis evicts
keys with one when memory is short, and the day's spend must not be among them. Instead the first step of a day clears it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from services.litellm.proxy.budget import Totals, ceiling, seconds_to_midnight
from services.litellm.proxy.settings import ProxySettings

MODE_KEY = "litellm:budget:mode"
"""For everybody to read; absent means normal. It expires with the day, so that nobody stays blocked tomorrow."""
KEYS = ("litellm:budget:day", "litellm:budget:month", "litellm:budget:reserved", MODE_KEY)
RESERVED_SECONDS = 900
"""A reservation whose end nobody reported in this time (LiteLLM was killed) is given back."""
SOCKET_SECONDS = 0.5
PATIENCE_SECONDS = 3.0
"""Longer than Redis is given by the socket: a busy event loop comes back late, and that is not Redis being away."""
PROBE_SECONDS = 1.0
"""Between attempts to find Redis again: no request waits for one."""

_LOG = logging.getLogger("LiteLLM Proxy")

_BEGIN = """
local day_key, month_key, reserved_key, mode_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local day, month, now, to_midnight = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local limit, eco_limit, id, provider = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8]
if redis.call('HGET', day_key, 'day') ~= day then redis.call('DEL', day_key); redis.call('HSET', day_key, 'day', day) end
if redis.call('HGET', month_key, 'month') ~= month then
    redis.call('DEL', month_key); redis.call('HSET', month_key, 'month', month)
end
local function spent() return tonumber(redis.call('HGET', day_key, 'spent') or '0') end
local function publish()
    local mode = 'normal'
    if spent() >= eco_limit then mode = 'eco' end
    if spent() >= limit then mode = 'blocked' end
    redis.call('SET', mode_key, mode, 'EX', to_midnight)
end
"""

# What dear models may still cost does not keep the eco models from answering: those count themselves and the spend.
_RESERVE = (
    _BEGIN
    + """
local amount, ceiling, month_limit, deadline = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12]
local held, month_held = 0, 0
local entries = redis.call('HGETALL', reserved_key)
for index = 1, #entries, 2 do
    local entry = cjson.decode(entries[index + 1])
    if entry.deadline < now then
        redis.call('HDEL', reserved_key, entries[index])
    elseif entries[index] ~= id then
        if entry.provider == provider then month_held = month_held + entry.amount end
        if not entry.apart and (ceiling < limit or entry.ceiling >= limit) then held = held + entry.amount end
    end
end
publish()
local apart, month_spent = month_limit >= 0, tonumber(redis.call('HGET', month_key, provider) or '0')
local free = spent() + held < ceiling
if apart then free = month_spent + month_held < month_limit end
if free then
    local entry = {amount = amount, provider = provider, ceiling = ceiling, deadline = tonumber(deadline), apart = apart}
    redis.call('HSET', reserved_key, id, cjson.encode(entry))
end
return {free and 1 or 0, tostring(spent()), tostring(spent() + held)}
"""
)

_SETTLE = (
    _BEGIN
    + """
local cost, apart, once = ARGV[9], ARGV[10] == 'apart', ARGV[11] == 'once'
local reserved = redis.call('HDEL', reserved_key, id) == 1
if tonumber(cost) > 0 and (reserved or not once) then
    if not apart then redis.call('HINCRBYFLOAT', day_key, 'spent', cost) end
    redis.call('HINCRBYFLOAT', month_key, provider, cost)
end
publish()
local crossed = {}
for index = 12, #ARGV do
    if spent() >= tonumber(ARGV[index]) * limit and redis.call('HSETNX', day_key, 'told:' .. ARGV[index], '1') == 1 then
        table.insert(crossed, ARGV[index])
    end
end
return {tostring(spent()), crossed}
"""
)

_READ = (
    _BEGIN
    + """
publish()
return {tostring(spent()), redis.call('GET', mode_key), redis.call('HGETALL', month_key)}
"""
)
_NO_LIMIT = 1e9


class Store(Protocol):
    """What is needed of a Redis client."""

    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> Any: ...

    def hdel(self, name: str, *keys: str) -> Any: ...


@dataclass(frozen=True)
class Verdict:
    """Whether a request may be paid for, and the totals that decided it."""

    admitted: bool
    totals: Totals
    blind: bool = False
    """Redis was away: the totals are what this process knows."""


@dataclass(frozen=True)
class Crossing:
    """Shares of the limit that were crossed for the first time this day, at `spent` USD."""

    shares: tuple[str, ...]
    spent: float


@dataclass(frozen=True)
class Account:
    """What Redis holds: USD of the day and of the month, by provider, and the mode that follows."""

    spent: float
    mode: str
    month: Mapping[str, float]


class Ledger:
    """Reserve before, settle after."""

    def __init__(self, store: Store, settings: ProxySettings, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="budget")
        self._search: asyncio.Task[None] | None = None
        """Runs while Redis is away."""
        self._known = ("", 0.0)
        """Day and spend as last seen, to go by while Redis is away."""
        self._held: dict[str, tuple[float, float, float]] = {}
        """Amount, ceiling and deadline of what this process has reserved, for the same reason."""
        self._unwritten: list[tuple[str, float, str]] = []
        self._writing = asyncio.Lock()
        """Held while they are written: two requests would book the first of them twice."""

    def is_under_way(self, identity: str) -> bool:
        """Whether a request of this process holds a reservation under that name."""
        return identity in self._held

    async def reserve(self, identity: str, model: str, amount: float) -> Verdict:
        """Admit a request of at most `amount` USD, or not; the same identity again replaces its reservation."""
        terms = self._settings.models[model]
        top = ceiling(model, self._settings)
        monthly = self._settings.monthly_limits.get(terms.provider, -1.0)
        deadline = self._clock().timestamp() + RESERVED_SECONDS
        arguments = (repr(amount), repr(top), repr(monthly), repr(deadline))
        try:
            await self._write_unwritten()
            admitted, spent, committed = await self._run(_RESERVE, identity, terms.provider, *arguments)
            totals = Totals(float(spent), float(committed))
            self._known = (self._day, totals.spent)
            verdict = Verdict(admitted=bool(admitted), totals=totals)
        except _AwayError:
            verdict = self._without_redis(identity, model)
        if verdict.admitted:
            self._held[identity] = (amount, top, deadline)
        return verdict

    async def settle(self, identity: str, provider: str, cost: float) -> Crossing:
        """Book what a request has cost instead of what was reserved for it."""
        self._held.pop(identity, None)
        try:
            await self._write_unwritten()
            return await self._book(identity, cost, provider)
        except _AwayError:
            self._unwritten.append((identity, cost, provider))
            return Crossing((), self._known[1])

    async def hold(self, identity: str, model: str, amount: float, seconds: float) -> None:
        """Reserve for what is under way already, whatever is left: its bill comes within `seconds`."""
        terms = self._settings.models[model]
        deadline = self._clock().timestamp() + seconds
        try:
            await self._run(_RESERVE, identity, terms.provider, *map(repr, (amount, _NO_LIMIT, _NO_LIMIT, deadline)))
        except _AwayError:
            self._unwritten.append((identity, amount, terms.provider))

    async def bill(self, identity: str, provider: str, cost: float) -> None:
        """Book what was held, once, however often its bill is shown."""
        with suppress(_AwayError):
            await self._book(identity, cost, provider, once=True)

    async def account(self) -> Account | None:
        """What stands in Redis; None while it is away."""
        with suppress(_AwayError):
            spent, mode, month = await self._run(_READ, "", "")
            amounts = dict(zip(map(_text, month[::2]), month[1::2], strict=True))
            amounts.pop("month", None)
            return Account(float(spent), _text(mode), {provider: float(amount) for provider, amount in amounts.items()})
        return None

    async def release(self, identity: str) -> None:
        """Give back the reservation of a request that failed."""
        await self.settle(identity, "", 0.0)

    async def tell_again(self, share: str) -> None:
        """A message about `share` did not get through: the next settlement brings it up again."""
        with suppress(_AwayError):
            await self._ask(partial(self._store.hdel, KEYS[0], f"told:{share}"))

    async def _book(self, identity: str, cost: float, provider: str, *, once: bool = False) -> Crossing:
        shares = [repr(share) for share in self._settings.reported_shares]
        how = ("apart" if provider in self._settings.monthly_limits else "day", "once" if once else "always")
        spent, crossed = await self._run(_SETTLE, identity, provider, repr(cost), *how, *shares)
        self._known = (self._day, float(spent))
        return Crossing(tuple(_text(share) for share in crossed), float(spent))

    def _without_redis(self, identity: str, model: str) -> Verdict:
        """Fail to eco (docs/adr/0012): go by what this process knows, and pay for cheap models only."""
        if self._settings.models[model].provider in self._settings.monthly_limits:
            return Verdict(admitted=False, totals=Totals(*(self._known[1],) * 2), blind=True)  # Dear, and nobody waits for it.
        now = self._clock().timestamp()
        limit, top = self._settings.daily_limit, ceiling(model, self._settings)
        self._held = {name: entry for name, entry in self._held.items() if entry[2] > now}
        day, known = self._known
        apart = self._settings.monthly_limits
        spent = (known if day == self._day else 0.0) + sum(cost for _, cost, provider in self._unwritten if provider not in apart)
        held = sum(
            amount for name, (amount, other, _) in self._held.items() if name != identity and (top < limit or other >= limit)
        )
        committed = max(spent + held, limit * self._settings.eco_share)
        return Verdict(admitted=committed < top, totals=Totals(spent, committed), blind=True)

    async def _write_unwritten(self) -> None:
        async with self._writing:
            while self._unwritten:
                await self._book(*self._unwritten[0])
                self._unwritten.pop(0)

    async def _run(self, script: str, identity: str, provider: str, *arguments: str) -> Any:
        now, settings = self._clock(), self._settings
        common = (
            self._day,
            self._day[:7],
            repr(now.timestamp()),
            str(seconds_to_midnight(now)),
            repr(settings.daily_limit),
            repr(settings.daily_limit * settings.eco_share),
            identity,
            provider,
        )
        return await self._ask(partial(self._store.eval, script, len(KEYS), *KEYS, *common, *arguments))

    async def _ask(self, command: Callable[[], Any]) -> Any:
        if self._search:
            raise _AwayError
        try:
            return await self._try(command)
        except Exception as error:
            _LOG.warning("budget: Redis does not answer (%r): only eco models are paid for until it does", error)
            self._search = self._search or asyncio.create_task(self._find_redis())
            raise _AwayError from error

    async def _try(self, command: Callable[[], Any]) -> Any:
        # In a thread, where the socket's timeout counts Redis's time alone.
        running = asyncio.get_running_loop().run_in_executor(self._threads, command)
        return await asyncio.wait_for(running, PATIENCE_SECONDS)

    async def _find_redis(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            with suppress(Exception):
                await self._try(partial(self._store.eval, "return 1", 0))
                break
        self._search = None
        _LOG.warning("budget: Redis answers again")

    @property
    def _day(self) -> str:
        return self._clock().date().isoformat()


class _AwayError(Exception):
    """Redis does not answer."""


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
