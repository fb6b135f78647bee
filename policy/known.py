"""The resource types that the pack knows. For each input: a rule judges it, or the reason why none has to.

An unknown type or input is a finding: nobody has reviewed what it can do.
"""

from collections.abc import Mapping

from policy.program import (
    BUCKET,
    CADDY,
    CLOUD_FIREWALL,
    CLOUD_NETWORK,
    CLOUD_VOLUME,
    CONFIGURATION,
    CONTAINER,
    DOCKER_NETWORK,
    DOCKER_PROVIDER,
    DOCKER_VOLUME,
    FIREWALL_ATTACHMENT,
    HOST_ACCESS,
    IMAGE_TAG,
    LOCAL_COMMAND,
    MESH_MEMBER,
    REMOTE_COMMAND,
    REMOTE_COPY,
    REMOTE_IMAGE,
    SERVER,
)

JUDGED = ""
"""Marks an input that a rule reads; tests/policy/test_known.py checks that one does."""
OFF = "a switch that stays off"
ANY = "*"
"""Matches an input of any name."""

COMPONENTS = "vpai:index:"
"""Prefix of our component types. A component creates nothing itself: its children are judged. Its inputs inform the rules."""
COMPONENT_INPUTS = dict.fromkeys(("waivers", "ports", "host", "serviceMemoryMib"), JUDGED)

_NAME = "a name"
_LABELS = "labels, by which nothing is let in"
_WAITING = "how long something waits, and for what"
_CONTENT = "says when something is made again"
_CLIENT = "how the provider works, not what it makes"
_ASKED_FOR = "secrets-plain-inputs asks that it is marked as secret"
_SEALED = "marked as secret, and written by a script of ours"
_OWN_SCRIPTS = "goes to a script of ours, which checks it"


def _inputs(judged: str, /, **harmless: str) -> Mapping[str, str]:
    return {**dict.fromkeys(judged.split(), JUDGED), **harmless}


_COMMAND = _inputs(
    "create update delete stdin environment triggers",
    logging="what a run shows of a command's output",
    addPreviousOutputInEnv="hands a command its own last output",
)
_CONFIGURATION = _inputs(
    "files",
    **dict.fromkeys(("alias", "config", "service", "directory", "owner"), _OWN_SCRIPTS),
    version="a sum of the files",
    secret_files=_SEALED,
    reload="words that a script of ours runs inside the service's own container",
)
_PROVIDER = _inputs("", version=_CLIENT, pluginDownloadURL=_CLIENT)

KNOWN: Mapping[str, Mapping[str, str]] = {
    CONTAINER: _inputs(
        "image envs command entrypoints healthcheck privileged capabilities securityOpts user networkMode pidMode"
        " ipcMode usernsMode cgroupParent cgroupnsMode memory memorySwap cpus cpuQuota ulimits readOnly ports publishAllPorts"
        " restart maxRetryCount volumes mounts devices deviceRequests gpus tmpfs logDriver logOpts networksAdvanced",
        name=_NAME,
        hostname=_NAME,
        domainname=_NAME,
        labels=_LABELS,
        hosts="names for addresses; the firewall decides whom it reaches",
        **dict.fromkeys(("stopTimeout", "stopSignal", "destroyGraceSeconds"), _WAITING),
        **dict.fromkeys(("wait", "waitTimeout", "mustRun", "start"), _WAITING),
        **dict.fromkeys(("attach", "logs", "containerReadRefreshTimeoutMilliseconds", "tty", "stdinOpen"), _CLIENT),
        **dict.fromkeys(("dns", "dnsOpts", "dnsSearches"), "whom it asks for names; the firewall decides whom it reaches"),
        **dict.fromkeys(("cpuShares", "cpuSet", "memoryReservation"), "a weight or a choice below the limits"),
        shmSize="counts against the limit of memory",
        init="Docker's own first process",
        sysctls="of its own network; those that were looked at are named below",
        workingDir="a directory inside it",
        removeVolumes="data is in directories of ours, not in its volumes",
        rm="removes it when it ends",
        platform="which of an image's builds",
    ),
    DOCKER_VOLUME: _inputs("driver driverOpts", name=_NAME, labels=_LABELS),
    DOCKER_NETWORK: _inputs(
        "driver ipamDriver ipamConfigs",
        name=_NAME,
        labels=_LABELS,
        internal="who has a way out is computed and reviewed (docs/reference/reachability.md)",
    ),
    REMOTE_IMAGE: _inputs(
        "name",
        **dict.fromkeys(("keepLocally", "forceRemove"), "what becomes of it afterwards"),
        **dict.fromkeys(("pullTriggers", "triggers"), _CONTENT),
        platform="which of its builds",
    ),
    IMAGE_TAG: _inputs("sourceImage", targetImage="a name on one host", tagTriggers=_CONTENT),
    DOCKER_PROVIDER: {**_inputs("host sshOpts", disableDockerDaemonCheck=_CLIENT), **_PROVIDER},
    "pulumi:providers:hcloud": {
        **_inputs(
            "",
            token=_ASKED_FOR,
            endpoint="whose cloud: rehearsals have their own",
            pollInterval=_CLIENT,
            pollFunction=_CLIENT,
        ),
        **_PROVIDER,
    },
    **dict.fromkeys((f"pulumi:providers:{name}" for name in ("command", "random")), _PROVIDER),
    "pulumi:providers:pulumi-python": {ANY: "the engine hands it the whole configuration of the stack"},
    LOCAL_COMMAND: _COMMAND,
    REMOTE_COMMAND: {**_COMMAND, "connection": JUDGED},
    REMOTE_COPY: _inputs("connection triggers"),
    CONFIGURATION: _CONFIGURATION,
    CADDY: {**_CONFIGURATION, "sites": JUDGED},
    HOST_ACCESS: _inputs(
        "files rules public_rules has_mesh alias",
        mesh_only="closes SSH to the public: only the rules that are judged stay",
        config="the ssh_config of a deployment",
        revert_seconds=_WAITING,
    ),
    MESH_MEMBER: _inputs(
        "flags login_server",
        **dict.fromkeys(("hub", "alias", "service", "parts", "config"), _OWN_SCRIPTS),
        name=_NAME,
        tag="its place in the mesh's policy, which is computed (docs/reference/reachability.md)",
        disposable="whether it is forgotten when it leaves",
    ),
    "pulumi-python:dynamic/hetzner:HostKey": _inputs("", host="whose key is made"),
    "pulumi-python:dynamic/hetzner-contact:ServerContact": _inputs(
        "",
        **dict.fromkeys(("alias", "address", "server", "config", "host_key"), "whom it waits for, by a key that is pinned"),
        seconds=_WAITING,
    ),
    BUCKET: _inputs(
        "policy lifecycle versioning lock_days bucket",
        **dict.fromkeys(("endpoint", "region"), "whose object storage it is"),
        keys="a sum of the keys that administer it",
        adopt="whether one that exists is taken over",
        emptied="what a deletion does, which protection stops in prod",
    ),
    SERVER: _inputs(
        "serverType location datacenter image sshKeys firewallIds backups deleteProtection rebuildProtection"
        " shutdownBeforeDeletion labels userData publicNets",
        name=_NAME,
        keepDisk="whether it can become smaller again",
        placementGroupId="which hardware it stands on",
        networks="its addresses in private; the firewall that every server has decides who reaches it",
        ignoreRemoteFirewallIds=OFF,
        allowDeprecatedImages="an image by name is judged",
    ),
    CLOUD_FIREWALL: _inputs("rules applyTos", name=_NAME, labels=_LABELS),
    FIREWALL_ATTACHMENT: _inputs(
        "", **dict.fromkeys(("firewallId", "serverIds", "labelSelectors"), "which servers a firewall that is judged protects")
    ),
    CLOUD_NETWORK: _inputs("ipRange", name=_NAME, labels=_LABELS, exposeRoutesToVswitch=OFF, deleteProtection="it holds no data"),
    "hcloud:index/networkSubnet:NetworkSubnet": _inputs(
        "", **dict.fromkeys(("networkId", "type", "networkZone", "ipRange"), "a part of a network whose range is judged")
    ),
    "hcloud:index/placementGroup:PlacementGroup": _inputs("", name=_NAME, labels=_LABELS, type="which hardware servers stand on"),
    "hcloud:index/primaryIp:PrimaryIp": _inputs(
        "",
        name=_NAME,
        labels=_LABELS,
        **dict.fromkeys(
            ("type", "location", "assigneeType", "assigneeId", "autoDelete", "deleteProtection"), "an address, kept or not"
        ),
    ),
    "hcloud:index/sshKey:SshKey": _inputs(
        "", name=_NAME, labels=_LABELS, publicKey="the deploy key's public half, which settings give and check"
    ),
    CLOUD_VOLUME: _inputs(
        "deleteProtection size",
        name=_NAME,
        labels=_LABELS,
        **dict.fromkeys(("location", "serverId", "automount", "format"), "where a disk is, and how it is used"),
    ),
    "random:index/randomPassword:RandomPassword": _inputs(
        "",
        keepers=_CONTENT,
        **dict.fromkeys(
            ("length", "special", "lower", "upper", "numeric", "number", "minLower", "minUpper", "minNumeric", "minSpecial"),
            "the model says how long a secret is, and of what letters",
        ),
    ),
    "random:index/randomBytes:RandomBytes": _inputs("", keepers=_CONTENT, length="the model says how long a secret is"),
    "pulumi:pulumi:Stack": {},
}

_VOLUME = frozenset({"hostPath", "containerPath", "readOnly", "volumeName", "fromContainer"})
_MOUNT = frozenset({"type", "source", "target", "readOnly", "bindOptions", "volumeOptions", "tmpfsOptions"})

PARTS: Mapping[tuple[str, str], frozenset[str]] = {
    (CONTAINER, "volumes"): _VOLUME,
    (CONTAINER, "mounts"): _MOUNT,
    (CONTAINER, "networksAdvanced"): frozenset({"name", "aliases"}),
    (CONTAINER, "ports"): frozenset({"internal", "external", "protocol", "ip"}),
    (CONTAINER, "capabilities"): frozenset({"adds", "drops"}),
    (CONTAINER, "ulimits"): frozenset({"name", "soft", "hard"}),
    # net.ipv4.tcp_migrate_req: which of its own listeners gets a connection whose listener closes.
    (CONTAINER, "sysctls"): frozenset({"net.ipv4.tcp_migrate_req"}),
    (DOCKER_NETWORK, "ipamConfigs"): frozenset({"subnet", "gateway", "ipRange", "auxAddress"}),
    (CLOUD_FIREWALL, "rules"): frozenset({"direction", "protocol", "port", "sourceIps", "destinationIps", "description"}),
}
"""Known parts of the inputs that have parts."""
