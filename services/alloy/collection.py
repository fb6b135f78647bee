"""Alloy's configuration: a scrape for each service that shows metrics, the logs of all but the silent, one store for both.

Every sample and line carries `host` and `service`, and the alerts and dashboards ask for nothing else.
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
    """Where metrics and logs go. `authority` is the PEM root that its certificate is checked with; empty for the public ones."""

    metrics_url: str
    logs_url: str
    authority: str = ""

    @classmethod
    def of(cls, links: Iterable[Link], names: Names, authority: str) -> "Store":
        """The stores of an Alloy with these links: beside it, or through another host's Caddy, over the mesh."""
        linked = {link.service for link in links}

        def url(of: Endpoint) -> str:
            return of.across(names) if of.service in linked else of.beside

        return cls(
            metrics_url=f"{url(victoriametrics.ENDPOINT)}{victoriametrics.WRITE_PATH}",
            logs_url=f"{url(loki.ENDPOINT)}{loki.PUSH_PATH}",
            authority=authority if linked else "",
        )


def bearers(services: Iterable[Service]) -> tuple[Secret, ...]:
    """The secrets that the scrapes show; each lies beside the configuration, in the file `token_file` names."""
    metrics = (service.metrics for service in services if isinstance(service.metrics, Metrics))
    return tuple(metric.bearer for metric in metrics if metric.bearer)


def token_file(bearer: Secret) -> str:
    """The file of a bearer, relative to Alloy's configuration directory."""
    return f"{bearer.name}.token"


def configuration(host: str, services: Sequence[Service], store: Store) -> str:
    """config.alloy of a host with these services, Alloy itself among them."""

    def reports(about: About) -> bool:
        return any(service.tells_of(about) for service in services)

    blocks = [
        *_outputs(host, store),
        # Where the host's own exporter stands, a second one would show every number twice.
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
    # `host` is a label of the target besides an external one: that is set only where a series has none of its own, as Caddy's
    # have one for the site. A target's label wins, and the program's becomes `exported_host`.
    target = _map({"__address__": f"{name}:{metrics.port}", "host": host, "service": name})
    receiver = "prometheus.relabel.containers" if metrics.about is About.CONTAINERS else "prometheus.remote_write.store"
    # Numbers about others: the service that each names is the one that counts.
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


# A container's numbers belong to its service, and to none where it is not ours; cAdvisor's own stay cAdvisor's.
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
    """A handshake for each site that the service leads to: when does its certificate run out?

    Its series carry no `service`: Alloy itself is scraped for them, so that their `up` is 1 whatever the service does.
    """
    sites = service.configuration.sites if service.configuration else ()
    if not sites:
        return
    modules = {
        # The date is asked for, not the chain: an authority of one's own is no less due.
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
    """Which container writes which file says docker-proxy; the lines are read from the files themselves."""
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
    """Containers without our label, sandboxes and strangers, have an empty one: they are collected under no name."""
    return "|".join(service.name for service in services if isinstance(service.logs, NotCollected)) or "none-is-silent"


def _map(values: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f'"{name}" = {_string(value)}' for name, value in values.items()) + " }"


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def _string(text: str) -> str:
    """A text between Alloy's quotation marks, whose escapes are Go's: no halves of characters, as JSON would write an emoji.

    A byte order mark stands bare nowhere in a file of Alloy's.
    """
    return json.dumps(text, ensure_ascii=False).replace("\ufeff", "\\ufeff")
