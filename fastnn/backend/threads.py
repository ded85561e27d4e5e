"""The limit of threads of the calls in one context; the compiled core reads it in each call."""

from contextvars import ContextVar

limit: ContextVar[int] = ContextVar("fastnn_threads", default=0)
"""Largest number of threads of a call in this context, or 0 for no limit of its own."""
