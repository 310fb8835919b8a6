"""What must hold, and the forms of the model that there are to choose from."""

from __future__ import annotations

from decimal import Decimal as Exact
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recmodel.api.quantity import (
    A_SHARE_OF_MINUTES,
    Decimal,
    Duration,
    Name,
    Percent,
    Percentile,
    Sha256,
    VersionName,
    at_most,
    ratio,
    seconds,
)
from recmodel.api.strict import Strict
from recmodel.api.text import ShortText

ModelUri = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", max_length=1024)]


class Latency(Strict):
    """The latency objective: ``percentile`` % of the requests are answered within ``threshold``."""

    percentile: Annotated[Percentile, Field(description="Share of the requests in per cent, 50 to 99.9.")] = "95"
    threshold: Annotated[
        Duration,
        at_most("10m"),
        Field(description="Time within which these requests are answered, such as 100ms. At most 10m."),
    ]
    budget: Annotated[
        Percent,
        A_SHARE_OF_MINUTES,
        Field(
            description="Share of the minutes of any week in which more requests may be late than percentile allows, 0.01% to "
            "10%. 0.5% is 50 minutes a week."
        ),
    ] = "0.5%"

    @property
    def within_ratio(self) -> float:
        """Share of the requests that are to be within the threshold: ``99.9`` is 0.999."""
        return float(Exact(self.percentile) / 100)

    @property
    def threshold_seconds(self) -> float:
        """``100ms`` is 0.1."""
        return seconds(self.threshold)

    @property
    def minutes_over_budget_ratio(self) -> float:
        """Share of the minutes that may be over the objective: ``0.5%`` is 0.005."""
        return ratio(self.budget)


class AccuracyBudget(Strict):
    """How much accuracy the traffic as a whole may lose against the most accurate variant."""

    max_loss: Annotated[
        Percent,
        Field(
            description="Share of the best variant's value (of an AUC of 0.77, 1% is 0.0077), not of its lead over a simple "
            "baseline; averaged over the traffic."
        ),
    ] = "1%"


class Objective(Strict):
    """What must hold; everything else is chosen for the lowest cost."""

    latency: Latency
    accuracy: AccuracyBudget | None = None


class Accuracy(Strict):
    """A measured accuracy."""

    metric: Annotated[
        ShortText, Field(description="Name of the metric, such as AUC or NDCG@10. The same for all variants.")
    ]
    value: Annotated[Decimal, Field(description="Measured value of the metric. More is better.")]


class Variant(Strict):
    """One form of the model: full, quantised, pruned, distilled."""

    name: Name
    accuracy: Annotated[
        Accuracy | None,
        Field(
            description="Set by hand it wins over the record's. Without either the variant gets no traffic while an "
            "accuracy budget is set."
        ),
    ] = None
    version: Annotated[
        VersionName | None,
        Field(description="Version to serve. Default: that of the record. A new version is rolled out pool by pool."),
    ] = None
    uri: Annotated[
        ModelUri | None, Field(description="Location of the model of this version. Default: that of the record.")
    ] = None
    sha256: Annotated[Sha256 | None, Field(description="Hash of the file at uri. Default: that of the record.")] = None
    unmeasured: Annotated[
        Literal["Deny", "Allow"],
        Field(
            description="What happens to it without a measured accuracy while a budget is set. Allow counts it as losing "
            "exactly the budget."
        ),
    ] = "Deny"
