"""Who may speak to whom in the cluster: only the gateway calls services, everything not named is denied."""

from typing import Any

import pytest

from deploy.settings import SERVICES
from tests.deploy.charts import EXAMPLES, of_kind, pods

pytestmark = pytest.mark.parametrize("example", EXAMPLES)
SERVER_PORTS = {5432: "postgres", 6379: "redis", 4222: "nats"}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector fits these labels."""
    matched = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    operators = {"In": lambda label, given: label in given}
    return matched and all(
        operators[expression["operator"]](labels.get(expression["key"]), expression["values"])
        for expression in selector.get("matchExpressions", [])
    )


def callers(example: str, service: str) -> set[str]:
    """The workloads that the policy of a service lets in, by the name on their label."""
    policy = of_kind(example, "NetworkPolicy")[f"crm-{service}"]["spec"]
    peers = [peer for rule in policy["ingress"] for peer in rule["from"] if "podSelector" in peer]
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]
        for pod in pods(example).values()
        if any(selects(peer["podSelector"], pod["metadata"]["labels"]) for peer in peers)
    }


def servers(policy: dict[str, Any]) -> set[str]:
    """Which of the platform's servers a policy lets its pods reach."""
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    return {SERVER_PORTS[port] for port in ports if port in SERVER_PORTS}


def test_everything_is_denied_that_is_not_allowed(example: str) -> None:
    """A policy without rules is on every pod of the namespace, in both directions."""
    policy = of_kind(example, "NetworkPolicy")["crm-default-deny"]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("service", [service for service in SERVICES if service != "gateway"])
def test_only_the_gateway_calls_a_service(example: str, service: str) -> None:
    """No service and no job may call another service; Prometheus, from its namespace, may."""
    assert callers(example, service) == {"gateway"}
    rules = of_kind(example, "NetworkPolicy")[f"crm-{service}"]["spec"]["ingress"]
    elsewhere = [peer for rule in rules for peer in rule["from"] if "podSelector" not in peer]
    assert elsewhere == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def test_no_pod_of_the_platform_calls_the_gateway(example: str) -> None:
    """Requests come to the gateway from the ingress controller's namespace alone."""
    assert callers(example, "gateway") == set()


def test_a_workload_reaches_only_the_servers_it_needs(example: str) -> None:
    """Services reach all three, the gateway no PostgreSQL, jobs nothing but PostgreSQL."""
    policies = of_kind(example, "NetworkPolicy")
    for service in SERVICES:
        expected = {"redis", "nats"} if service == "gateway" else {"postgres", "redis", "nats"}
        assert servers(policies[f"crm-{service}"]) == expected
    jobs = [policy for name, policy in policies.items() if name in ("crm-migration", "crm-upkeep")]
    assert [servers(policy) for policy in jobs] in ([{"postgres"}], [{"postgres"}] * 2)


def test_no_rule_opens_every_port(example: str) -> None:
    """Each rule names its ports, and a rule of ingress names who comes in."""
    for name, policy in of_kind(example, "NetworkPolicy").items():
        for rule in policy["spec"].get("ingress", []):
            assert rule["ports"], name
            assert rule["from"], name
        for rule in policy["spec"].get("egress", []):
            assert rule["ports"], name


def test_every_pod_has_a_policy_of_its_own(example: str) -> None:
    """No workload lives on the default alone."""
    policies = [policy for name, policy in of_kind(example, "NetworkPolicy").items() if name != "crm-default-deny"]
    for name, pod in pods(example).items():
        labels = pod["metadata"]["labels"]
        assert [1 for policy in policies if selects(policy["spec"]["podSelector"], labels)] == [1], name
