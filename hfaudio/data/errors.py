"""What is raised when the user's data cannot be used."""

__all__ = ["DataError"]


class DataError(ValueError):
    """A mistake in the user's data: one sentence that says what was expected, what was found and what to do."""
