"""The experiment tracker of the active stack, if it has one."""

from __future__ import annotations


def stack_tracker() -> str | None:
    """Its name. A step that demands a tracker outright would break on every stack without one."""
    from zenml.client import Client
    from zenml.enums import StackComponentType

    found = Client().active_stack_model.components.get(StackComponentType.EXPERIMENT_TRACKER)
    return found[0].name if found else None
