"""What is wrong with what the user gave: one error that names the field, the value and the rule."""

from __future__ import annotations


class InputError(ValueError):
    """``field: value: rule``, on one line: ``budget: 0%: must be above 0%, since ...``."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        shown = str(value)
        super().__init__(f"{field}: {shown if len(shown) <= 200 else shown[:197] + '...'}: {rule}")
        self.field = field


def first_line(error: Exception) -> str:
    """What another library says, on one line."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
