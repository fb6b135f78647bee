"""The policy pack reads rules as Debian's iptables does, compared in a network namespace."""

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from components.host.firewall import forward_rules, spoof_rules, tables
from model.firewall import firewall
from model.network import MESH, MESH_V6
from policy.meaning.iptables import OUTSIDE, Traffic, Verdict, chain, follow
from tests.support import own_network
from tests.support.whole import placements

SPELLED = (
    *("-A T -j RETURN", "-AT -j RETURN", "--append T -j RETURN", "--app T -j RETURN", " -A T -j RETURN", '-A "T" -j RETURN'),
    *("-A T --jum RETURN", "-A T -g U", "-A T --got U", '-A T -j ACCEPT -m comment --comment "-j DROP"'),
    *("[0:0] -A T -j RETURN", "-A T -c 0 0 -j RETURN", "-A T -4 -j RETURN", "-A T -v -j RETURN", "-vA T -j RETURN"),
    *("-I T -j RETURN", "-I T 1 -j RETURN", "-D T 1", "-F T", "-F", "-A T -s 10/8 -j RETURN"),
    *("-A T -s 10.0.0.0/8,11.0.0.0/8 -j RETURN", "-A T ! -s 10.0.0.1/8 -j RETURN", "-A T --sour 0/0 -j RETURN"),
    *("-A T -i br-+ -j DROP", "-A T ! -i br-+ -j DROP", "-A T -s 10.0.0.0/255.0.0.0 -j DROP", "-A T -p tcp --dport 22 -j DROP"),
    *(
        "-A T -j DROP",
        "-A T -s 0/0 -j DROP",
        "-A T -i + -j DROP",
        "-A T -m conntrack --ctstate NEW -j DROP",
        "-A T -j MARK --set-mark 1",
    ),
)
ASKED = (
    Traffic(into=OUTSIDE, out="br-x"),
    Traffic(into="br-x"),
    Traffic(into="docker0"),
)


def normal(texts: Sequence[str]) -> list[str]:
    """Each chain T in the output of `iptables -S` after a restore; empty when iptables refuses it."""
    ask = "(iptables-restore 2>/dev/null >&2 && iptables -S T; echo ==; iptables -F; iptables -X)"
    script = "".join(f"{ask} <<'E'\n*filter\n:T - [0:0]\n:U - [0:0]\n{text}\nCOMMIT\nE\n" for text in texts)
    return own_network.printed("sh", "-c", script).split("==\n")[:-1]


def verdicts(text: str) -> list[Verdict]:
    return [follow(chain(f"*filter\n{text}", "filter", "T"), traffic) for traffic in ASKED]


def trusted(verdict: Verdict) -> bool:
    """Whether the pack has no finding."""
    return verdict.dropped and not verdict.passing


@settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.sampled_from(SPELLED), min_size=1, max_size=4).map("\n".join), min_size=30, max_size=30))
def test_no_spelling_lets_the_pack_trust_more_than_iptables_enforces(texts: list[str]) -> None:
    shown = normal(texts)
    assert len(shown) == len(texts) and any(shown)
    for text, real in zip(texts, shown, strict=True):
        for read, enforced in zip(verdicts(text), verdicts(real), strict=True) if real else ():
            assert trusted(enforced) or not trusted(read), f"{text}\nis, to iptables,\n{real}"


def test_each_spelling_is_one_that_iptables_takes() -> None:
    assert [
        text for text, real in zip(SPELLED, normal([f"-A T -j DROP\n{text}" for text in SPELLED]), strict=True) if not real
    ] == []


def test_what_we_render_is_what_iptables_shows_of_it() -> None:
    """Word for word, because `make drift` compares them."""
    for placement in placements():
        plan = firewall(placement)
        v4, v6 = tables(plan)
        script = f"iptables-restore <<'E'\n{v4}\nE\nip6tables-restore <<'E'\n{v6}\nE\n"
        show = "iptables -S; iptables -t raw -S; ip6tables -t raw -S"
        shown = [
            line
            for line in own_network.printed("sh", "-c", script + show).splitlines()
            if line.startswith(("-A DOCKER-USER", "-A VPAI"))
        ]
        assert shown == [*forward_rules(plan), *spoof_rules(plan, str(MESH)), *spoof_rules(plan, str(MESH_V6))]
        assert not plan.has_containers or shown
