"""A claim that the API server refuses: what is said of it, and that only its namespace goes unserved."""

from __future__ import annotations

import pytest

from builders.claims_world import QUOTA, World, run_story
from recmodel.cluster.leases.claims import ENDED_SECONDS, PACE
from recmodel.cluster.leases.lease import RENEW_SECONDS


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, QUOTA),
        (
            403,
            'leases.coordination.k8s.io is forbidden: User "system:serviceaccount:ops:recmodel" cannot create resource',
        ),
        (409, 'admission webhook "leases.example.com" denied the request: no Leases here'),
        (500, 'admission webhook "leases.example.com" denied the request: no Leases here'),
    ],
)
def test_a_claim_that_is_refused_is_named_with_the_sentence_until_it_is_written_or_not_wanted(
    status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One of two namespaces refuses it: the other one is served throughout."""

    async def story(world: World) -> None:
        world.api.refuses["shop"] = status, said
        pod = world.pod("a")
        await world.passes(60.0)
        assert (world.acting("shop"), world.acting("news")) == ([], ["a"])
        assert pod.claims.refused.keys() == {"shop"}
        assert said in pod.claims.refused["shop"]
        assert pod.claims.acting
        (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
        assert warning.startswith("does not act in namespace shop: its claim (Lease shop/recmodel.dev)")
        assert said in warning
        world.api.refuses.clear()
        await world.passes(8.0)
        assert (world.acting("shop"), pod.claims.refused) == (["a"], {})
        world.api.refuses["shop"] = status, said  # from now on its renewals
        await world.passes(PACE.act_seconds - 20.0)
        assert (world.acting("shop"), pod.claims.refused) == (["a"], {})  # what it holds, it holds
        await world.passes(40.0)
        assert (world.acting("shop"), pod.claims.refused.keys()) == ([], {"shop"})
        world.models = {"news"}
        await world.passes(RENEW_SECONDS)
        assert pod.claims.refused == {}

    run_story(story)


def test_the_claim_for_all_namespaces_that_is_refused_is_named_so(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        world.api.refuses["default"] = 403, QUOTA
        pod = world.pod("a")
        await world.passes(20.0)
        assert not pod.claims.acting
        assert pod.claims.refused.keys() == {"*"}
        assert "does not act in all namespaces: its claim (Lease default/all.recmodel.dev)" in caplog.text
        world.api.down = True  # the release's own Lease runs out, and with it what is known of the others
        await world.passes(20.0)
        assert pod.claims.refused == {}

    run_story(story)


@pytest.mark.parametrize(
    "spec",
    [
        "abc",
        ["x"],
        7,
        {"holderIdentity": ["x"], "leaseDurationSeconds": {}},
        {"holderIdentity": "other/release", "leaseDurationSeconds": "soon"},
        {"holderIdentity": "", "leaseTransitions": "many"},
        {"holderIdentity": "other/release", "leaseDurationSeconds": 10**400},
    ],
    ids=lambda spec: repr(spec)[:60],
)
def test_a_claim_that_cannot_be_read_stops_its_own_namespace_alone(spec: object) -> None:
    """Whoever may write Leases in one namespace takes no other one from the operator."""

    async def story(world: World) -> None:
        metadata = {"name": "recmodel.dev", "namespace": "shop", "resourceVersion": "1"}
        world.api.stored["shop/recmodel.dev"] = {"metadata": metadata, "spec": spec}
        world.api.stored["ops/recmodel-0123abcd"] = {"metadata": {"name": 7}, "spec": spec}
        pod = world.pod("a", serves=("shop", "news"))
        await world.passes(20.0)
        assert (world.acting("shop"), world.acting("news")) == ([], ["a"])
        assert "cannot be read" in pod.claims.refused["shop"]
        del world.api.stored["shop/recmodel.dev"]
        await world.passes(8.0)
        assert (world.acting("shop"), pod.claims.refused) == (["a"], {})

    run_story(story)


def test_a_race_for_a_claim_is_no_refusal() -> None:
    async def story(world: World) -> None:
        world.api.refuses["shop"] = 409, "the object has been modified"
        pod = world.pod("a", serves=("shop",))
        await world.passes(RENEW_SECONDS)
        assert (world.acting("shop"), pod.claims.refused) == ([], {})
        world.api.refuses.clear()
        await world.passes(8.0)
        assert (world.acting("shop"), pod.claims.refused) == (["a"], {})

    run_story(story)


def test_who_acted_before_a_claim_was_refused_is_not_said_to_act_any_more() -> None:
    async def story(world: World) -> None:
        world.pod("a", "ops", serves=("shop",))
        await world.passes(12.0)
        second = world.pod("b", "other", serves=("shop",))
        await world.passes(12.0)
        assert (second.claims.others, second.claims.refused) == ({"shop": "ops/recmodel"}, {})
        await world.ends("a")
        world.api.refuses["shop"] = 403, QUOTA
        await world.passes(ENDED_SECONDS + 10.0)
        assert second.claims.others == {}
        assert second.claims.refused.keys() == {"shop"}

    run_story(story)
