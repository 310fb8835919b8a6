"""How a child that could not be brought to what is wanted is logged."""

from __future__ import annotations

import logging

from recmodel.cluster.transport import errors
from recmodel.cluster.writing.outcome import Failure

logger = logging.getLogger(__name__)


def log_failure(key: str, failure: Failure) -> None:
    """A refusal of the API in a sentence; a fault of ours with its trace."""
    (kind, name), error = failure.child, failure.error
    level, trace = (logging.WARNING, None) if errors.known(error) else (logging.ERROR, error)
    logger.log(level, "%s: %s %s: %s", key, kind.kind, name, error, exc_info=trace)
