"""The chain at load: which objects are filters, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from zope.interface import classImplements

from gwproxy.config import ConfigMistake
from gwproxy.filters.api import IDoneFilter
from gwproxy.filters.chain import FilterChain
from gwproxy.testing import FakeExchange


def refused(filter_object: object) -> str:
    with pytest.raises(ConfigMistake) as caught:
        FilterChain([("mine", filter_object)])
    return str(caught.value)


def test_an_object_without_hooks_is_refused() -> None:
    assert refused(object()) == ("object provides none of the hooks on_request, on_attempt, on_response, on_done")


def test_a_misspelt_hook_is_refused() -> None:
    class Misspelt:
        def on_request(self, exchange: object) -> None: ...
        def on_reponse(self, exchange: object) -> None: ...

    assert refused(Misspelt()) == "on_reponse is no hook; did you mean 'on_response'?"


def test_an_interface_without_its_hook_is_refused() -> None:
    class Half:
        def on_request(self, exchange: object) -> None: ...

    classImplements(Half, IDoneFilter)  # type: ignore[misc]  # what the test is about: it lacks on_done
    assert refused(Half()) == "declares IDoneFilter and has no on_done"


def test_a_hook_that_cannot_be_called_is_refused() -> None:
    class Attribute:
        on_request = "no function"

    assert refused(Attribute()) == "on_request cannot be called"


def test_a_hook_with_other_arguments_is_refused() -> None:
    class Onion:
        def on_request(self, exchange: object, call_next: object) -> None: ...

    assert refused(Onion()) == "on_request must take one argument, the exchange"


@pytest.mark.parametrize("hook", ["on_attempt", "on_response", "on_done"])
def test_only_on_request_may_be_async(hook: str) -> None:
    async def coroutine(self: object, exchange: object) -> None: ...

    assert refused(type("Async", (), {hook: coroutine})()) == (f"{hook} must not wait, and it is an async function")


def test_a_generator_as_a_hook_is_refused() -> None:
    class Generator:
        def on_request(self, exchange: object) -> Iterator[None]:
            yield None

    assert refused(Generator()) == "on_request is a generator, calling it would do nothing"


def test_a_hook_written_in_c_is_taken() -> None:
    seen: list[object] = []

    class Builtin:
        on_request = staticmethod(seen.append)
        # One whose arguments cannot be found out.
        on_done = staticmethod(dir)

    exchange = FakeExchange()
    chain = FilterChain([("builtin", Builtin())])
    assert chain.run_request(exchange) is None
    assert seen == [exchange]
    assert chain.has_done
