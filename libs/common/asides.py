"""Questions to servers out there, asked outside of the transaction of a request that has an idempotency key."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from libs.common.errors import AppError, Unavailable


class Asides:
    """The question of a handler that has to be asked outside of the transaction, and what came of it."""

    def __init__(self) -> None:
        self.waiting: Callable[[], Awaitable[None]] | None = None
        self.asked = False
        self.error: AppError | None = None

    async def ask(self, question: Callable[[], Awaitable[None]]) -> None:
        """Asks, and keeps what is wrong."""
        self.waiting, self.asked = None, True
        try:
            await question()
        except AppError as error:
            self.error = error


running: ContextVar[Asides | None] = ContextVar("asides", default=None)


async def aside(question: Callable[[], Awaitable[None]]) -> None:
    """Asks something that may take long, never within the one transaction of a request with a key.

    A handler may do so once, and before it changes anything. Other handlers than those of such requests just ask.
    """
    asides = running.get()
    if asides is None:
        return await question()
    if not asides.asked:
        asides.waiting = question
        raise Unavailable("The request goes on when its question is answered", code="busy", retry_after=1)
    if asides.error is not None:
        raise asides.error
