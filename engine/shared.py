"""One read-only copy per node: values put once into the object store and opened zero-copy by every actor."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import ray

T = TypeVar("T")


class Shared(Generic[T]):
    """A picklable handle to a value. NumPy and Arrow buffers behind it are mapped, not copied, and are read-only."""

    def __init__(self, reference: Any, *, local: bool) -> None:
        self._reference, self._local = reference, local

    @classmethod
    def put(cls, value: T) -> Shared[T]:
        """Place `value` in Ray's object store; Ray must be running."""
        return cls(ray.put(value), local=False)

    @classmethod
    def local(cls, value: T) -> Shared[T]:
        """Hold `value` in this process, for use without Ray."""
        return cls(value, local=True)

    def get(self) -> T:
        """The value itself."""
        value: T = self._reference if self._local else ray.get(self._reference)
        return value
