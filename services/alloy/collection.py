"""Alloy's configuration: a scrape of each service with metrics, the logs of each service that has any, one store for both.

Every sample and log line has the labels `host` and `service`. Alerts and dashboards select by these alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from model.endpoint import Endpoint
from model.names import Names
from model.secret import Secret
from model.service import About, Link, Metrics, NotCollected, Service
from services import docker_proxy, loki, victoriametrics

DIRECTORY = "/etc/alloy"
_META = "__meta_docker_container_label_vpai_service"


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where metrics and logs go. `authority` is the PEM root of the store's certificate; empty for a public authority."""

    metrics_url: str
    logs_url: str
    authority: str = ""

    @classmethod
    def of(cls, links: Iterable[Link], names: Names, authority: str) -> "Store":
        """The store of an Alloy with these links: on the same host, or through another host's Caddy over the mesh."""
        linked = {link.service for link in links}

        def url(of: Endpoint) -> str:
            return of.across(names) if of.service in linked else of.beside

        return cls(
            metrics_url=f"{url(victoriametrics.ENDPOINT)}{victoriametrics.WRITE_PATH}",
            logs_url=f"{url(loki.ENDPOINT)}{loki.PUSH_PATH}",
            authority=authority if linked else "",
        )


def bearers(services: Iterable[Service]) -> tuple[Secret, ...]:
    """The bearer tokens of the scrapes. Each is in the file that `token_file` names, beside the configuration."""
    metrics = (service.metrics for service in services if isinstance(service.metrics, Metrics))
    return tuple(metric.bearer for metric in metrics if metric.bearer)


def token_file(bearer: Secret) -> str:
    """The file of a bearer token, relative to Alloy's configuration directory."""
    return f"{bearer.name}.token"


def configuration(host: str, services: Sequence[Service], store: Store) -> str:
    """config.alloy of a host with these services, Alloy itself among them."""

    def reports(about: About) -> bool:
        return any(service.tells_of(about) for service in services)

    blocks = [
        *_outputs(host, store),
        # If a service exports the host's metrics, Alloy's own exporter would report every value twice.
        *(() if reports(About.HOST) else (_HOST,)),
        *(_scrape(host, service.name, service.metrics) for service in services if isinstance(service.metrics, Metrics)),
        *((_CONTAINERS,) if reports(About.CONTAINERS) else ()),
        *(block for service in services for block in _certificates(service)),
        *((_logs(services),) if reports(About.SERVICES) else ()),
    ]
    return "\n".join(blocks)


def _outputs(host: str, store: Store) -> Iterator[str]:
    tls = f"\t\ttls_config {{\n\t\t\tca_pem = {_string(store.authority)}\n\t\t}}\n" if store.authority else ""
    for component, url in (("prometheus.remote_write", store.metrics_url), ("loki.write", store.logs_url)):
        yield f"""{component} "store" {{
	external_labels = {{ "host" = {_string(host)} }}
	endpoint {{
		url = {_string(url)}
{tls}	}}
}}
"""


_HOST = """prometheus.exporter.unix "host" {
	rootfs_path    = "/host"
	procfs_path    = "/host/proc"
	sysfs_path     = "/host/sys"
	set_collectors = ["cpu", "diskstats", "filesystem", "loadavg", "meminfo", "textfile", "uname"]
	textfile {
		directory = "/host/var/lib/vpai/metrics"
	}
}

prometheus.scrape "host" {
	targets         = prometheus.exporter.unix.host.targets
	forward_to      = [prometheus.remote_write.store.receiver]
	job_name        = "node"
	scrape_interval = "30s"
}
"""


def _scrape(host: str, name: str, metrics: Metrics) -> str:
    # `host` is also a label of the target, because an external label is set only on series that have none of that name, and
    # Caddy's series have one for the site. The target's label wins, and the program's becomes `exported_host`.
    target = _map({"__address__": f"{name}:{metrics.port}", "host": host, "service": name})
    receiver = "prometheus.relabel.containers" if metrics.about is About.CONTAINERS else "prometheus.remote_write.store"
    # These series are about other services: the `service` label of each series is kept.
    honor = "\thonor_labels    = true\n" if metrics.about is About.SERVICES else ""
    bearer = f'\tbearer_token_file = "{DIRECTORY}/{token_file(metrics.bearer)}"\n' if metrics.bearer else ""
    return f"""prometheus.scrape "{_identifier(name)}" {{
	targets         = [{target}]
	forward_to      = [{receiver}.receiver]
	job_name        = "{name}"
	metrics_path    = "{metrics.path}"
	scrape_interval = "30s"
{honor}{bearer}}}
"""


# A container's series get the service of the container, or none where the container is not ours. cAdvisor's own keep its name.
_CONTAINERS = """prometheus.relabel "containers" {
	rule {
		source_labels = ["__name__", "container_label_vpai_service"]
		regex         = "container_[^;]*;(.*)"
		target_label  = "service"
		replacement   = "$1"
	}
	rule {
		action = "labeldrop"
		regex  = "container_label_.+"
	}
	forward_to = [prometheus.remote_write.store.receiver]
}
"""


def _certificates(service: Service) -> Iterator[str]:
    """A TLS handshake with each site of the service, which tells when the site's certificate expires.

    The series have no `service`: Alloy itself is scraped for them, so that their `up` is 1 whatever the service does.
    """
    sites = service.configuration.sites if service.configuration else ()
    if not sites:
        return
    modules = {
        # Only the date is checked, not the chain: certificates of the operator's own authority expire too.
        site.host: {"prober": "tcp", "tcp": {"tls": True, "tls_config": {"server_name": site.host, "insecure_skip_verify": True}}}
        for site in sites
    }
    targets = "".join(
        f"""	target {{
		name    = {_string(site.host)}
		address = "{service.name}:443"
		module  = {_string(site.host)}
		labels  = {_map({"site": site.host})}
	}}
"""
        for site in sites
    )
    yield f"""prometheus.exporter.blackbox "certificates" {{
	config = {_string(json.dumps({"modules": modules}))}
{targets}}}

prometheus.scrape "certificates" {{
	targets         = prometheus.exporter.blackbox.certificates.targets
	forward_to      = [prometheus.remote_write.store.receiver]
	scrape_interval = "5m"
}}
"""


def _logs(services: Sequence[Service]) -> str:
    """docker-proxy tells which container writes which file; the lines are read from the files."""
    return f"""discovery.docker "containers" {{
	host = "{docker_proxy.URL}"
}}

discovery.relabel "logs" {{
	targets = discovery.docker.containers.targets
	rule {{
		source_labels = ["{_META}"]
		regex         = "{_silent(services)}"
		action        = "drop"
	}}
	rule {{
		source_labels = ["{_META}"]
		target_label  = "service"
	}}
	rule {{
		source_labels = ["__meta_docker_container_id"]
		target_label  = "__path__"
		replacement   = "/var/lib/docker/containers/$1/$1-json.log"
	}}
}}

local.file_match "logs" {{
	path_targets = discovery.relabel.logs.output
}}

loki.source.file "logs" {{
	targets    = local.file_match.logs.targets
	forward_to = [loki.process.logs.receiver]
}}

loki.process "logs" {{
	stage.docker {{}}
	stage.static_labels {{
		values = {{ job = "docker" }}
	}}
	// A path a container and a directory a line would make a stream each.
	stage.label_drop {{
		values = ["filename"]
	}}
	forward_to = [loki.write.store.receiver]
}}
"""


def _silent(services: Iterable[Service]) -> str:
    """Pattern of the services without logs. Containers without our label, such as sandboxes, are collected without a name."""
    return "|".join(service.name for service in services if isinstance(service.logs, NotCollected)) or "none-is-silent"


def _map(values: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f'"{name}" = {_string(value)}' for name, value in values.items()) + " }"


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def _string(text: str) -> str:
    """`text` as a string of Alloy, whose escapes are Go's: no surrogate pairs, which JSON would write for an emoji.

    Alloy accepts no unescaped byte order mark in a file.
    """
    return json.dumps(text, ensure_ascii=False).replace("\ufeff", "\\ufeff")
