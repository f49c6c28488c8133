"""Where a confirmation is looked at."""

from __future__ import annotations

from document_system.models import Confirmation

__all__ = ["path_of"]


def path_of(confirmation: Confirmation) -> str:
    """Of its window, or of its dialog."""
    single = confirmation.single
    if single is not None:
        return f"/documents/{single.number}/signing/{confirmation.id}"
    if confirmation.items:
        return f"/batches/{confirmation.id}"
    return f"/certificates/registrations/{confirmation.id}"
