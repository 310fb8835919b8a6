"""RecModels as the handlers tell of them: a new spec is taken over or refused, and what it says is kept up with the
records of its variants and with the Job that writes them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from recmodel.api.permitted import Permitted
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.optimiser_job import job_name, job_progress
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.objects import RecModelObject, identity_of, read_recmodel
from recmodel.cluster.transport.errors import Unreadable
from recmodel.controller import keeping
from recmodel.controller.contests import recall_contests
from recmodel.controller.decider import Decider
from recmodel.controller.last_valid_spec import packed, unpacked
from recmodel.controller.recalled import recall
from recmodel.controller.reconciler import Reconciler
from recmodel.controller.rollouts import recall_trials
from recmodel.controller.route_rules import recall_rule_contest
from recmodel.controller.spec_reading import read_spec
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Reason
from recmodel.report.snapshot import Desired
from recmodel.report.status import written_status
from recmodel.rollout.known_variants import known_variants

logger = logging.getLogger(__name__)


class Registry:
    """Takes in for a reconciler. ``report`` has a status written, and ``forget`` lets go of a RecModel everywhere."""

    def __init__(
        self,
        reconciler: Reconciler,
        inventory: Inventory,
        decider: Decider,
        permitted: Permitted,
        report: Callable[[Tracked], object],
        forget: Callable[[str], None],
    ) -> None:
        self._reconciler = reconciler
        self._inventory = inventory
        self._decider = decider
        self._permitted = permitted
        self._report = report
        self._forget = forget

    def observe(self, body: Mapping[str, Any]) -> None:
        """A RecModel as it stands now. Only another spec or a new object means work: an older one, too, as it is what stands
        after a restore of etcd. One that cannot be read is left as it was known.
        """
        try:
            found = read_recmodel(body)
        except Unreadable as problem:
            self._inventory.unreadable.add(names.RECMODEL, identity_of(body), str(problem))
            return
        self._inventory.unreadable.remove(names.RECMODEL, identity_of(body))
        self._take(found)

    def gone(self, key: str) -> None:
        """A RecModel that was deleted."""
        namespace, _, name = key.partition("/")
        self._inventory.unreadable.remove(names.RECMODEL, (namespace, name))

    def _take(self, found: RecModelObject) -> None:
        owner, generation, body = found.owner, found.generation, found.body
        tracked = self._reconciler.models.get(owner.key)
        if tracked is not None and tracked.owner.uid != owner.uid:  # made again, and the deletion was missed
            self._forget(owner.key)
            tracked = None
        if found.leaving:
            self._forget(owner.key)
            return
        new = tracked is None
        if tracked is None:
            tracked = self._reconciler.models[owner.key] = Tracked(owner, Desired(body, may_act=self._permitted.acting))
            self.recall(tracked)
        elif tracked.desired.generation == generation and tracked.desired.body.get("spec") == body.get("spec"):
            tracked.desired = replace(tracked.desired, body=body)  # its status, which another operator may have written
            return
        tracked.desired = replace(tracked.desired, generation=generation, body=body)
        spec = read_spec(body, self._permitted)
        if isinstance(spec, Reason) and tracked.desired.written is None:
            self._restore(tracked)
        elif not isinstance(spec, Reason):
            tracked.desired = replace(tracked.desired, kept=packed(body["spec"]))
        self._read(tracked, spec)
        if new:
            recall_contests(tracked, time.monotonic(), time.time())  # of the workloads that the spec names
            recall_rule_contest(tracked, time.monotonic(), time.time())
            keeping.recall(self._decider, tracked)
        self._reconciler.wake(owner.key)

    def recall(self, tracked: Tracked) -> None:
        """Takes over what another process had learned and begun, as the status says it."""
        tracked.recalled = recall(tracked.desired.body, tracked.recalled, time.time())
        self._decider.recall(
            tracked.key, tracked.recalled.budget_left_ratio, tracked.recalled.latency_budget_left_ratio
        )
        if tracked.recalled.trials is not None:
            recall_trials(tracked, tracked.recalled.trials)

    def _restore(self, tracked: Tracked) -> None:
        """Goes on with the last valid spec that another process knew, where it is still valid for this one."""
        text = written_status(tracked.desired.body).last_valid_spec
        spec = unpacked(text)
        found = read_spec({**tracked.desired.body, "spec": spec}, self._permitted) if spec is not None else None
        if isinstance(found, RecModelSpec):
            tracked.desired = replace(tracked.desired, written=found, kept=text)
            self.learn(tracked)
            logger.info("%s: its last valid spec stays in effect", tracked.key)

    def learn(self, tracked: Tracked) -> None:
        """Takes over the records, and how the Job that writes them stands, both of the same moment: a Job's end never
        counts without the record that it wrote before.
        """
        owner, desired = tracked.owner, learned(tracked.desired, tracked.owner, self._inventory.records_of(tracked.key))
        job = self._inventory.child(names.JOB, owner.namespace, desired.job) if desired.job else None
        tracked.desired = replace(desired, job_progress=job_progress(owner, job))

    def _read(self, tracked: Tracked, found: RecModelSpec | Reason) -> None:
        """A refused spec is said at once; the last valid one goes on."""
        if isinstance(found, Reason):
            tracked.desired = replace(tracked.desired, invalid=found)
            logger.warning("%s: %s", tracked.key, found.message)
            self._report(tracked)
            return
        healed = tracked.desired.invalid is not None
        tracked.desired = replace(tracked.desired, written=found, invalid=None)
        self.learn(tracked)
        if healed:
            self._report(tracked)


def learned(desired: Desired, owner: Owner, config_maps: Sequence[Mapping[str, Any]]) -> Desired:
    """What is desired, with what the records in ``config_maps`` say; as it was where they are the same as before."""
    written, before = desired.written, desired.variants
    marks = [(c["metadata"]["uid"], c["metadata"].get("resourceVersion")) for c in config_maps]
    records = (id(written), *marks)
    if written is None or records == desired.records:
        return desired
    found = known_variants(written, config_maps, before.records if before else {})
    spec = found.spec
    job = job_name(owner, spec.optimisation) if spec.optimisation else None
    model = spec.model(owner.key)
    model = replace(model, acts=model.acts and desired.may_act)
    return replace(desired, records=records, variants=found, spec=spec, model=model, job=job)
