"""Faults of the kind that a change brings in by mistake, and for each the test that has to turn red."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`old` stands once in `file`; the fault is that `new` stands there."""

    what: str
    file: str
    old: str
    new: str
    test: str
    """A test of pytest's by its id, or one of Go's as `images/x:TestName`."""


def _fault(what: str, file: str, old: str, new: str, test: str) -> Fault:
    return Fault(what=what, file=file, old=old, new=new, test=test)


FAULTS = (
    _fault(
        "a law that accepts everything",
        "model/laws/capacity.py",
        "    if total > available:\n",
        "    if total > available and not placement:\n",
        "tests/unit/model/test_laws.py::test_a_broken_law_is_told_with_reason_and_remedy[memory_fits-0]",
    ),
    _fault(
        "a law that is asked of no one",
        "model/laws/__init__.py",
        "    networks.only_caddy_publishes,\n",
        "",
        "tests/unit/model/test_laws.py::test_every_law_has_a_case_that_breaks_it",
    ),
    _fault(
        "an ACL line missing in the mesh",
        "model/mesh.py",
        "                for grant in grants(placements)\n",
        "                for grant in grants(placements)[1:]\n",
        "tests/unit/model/test_mesh.py::test_the_policy_accepts_what_is_granted_and_nothing_else",
    ),
    _fault(
        "a host whose sites no member is granted",
        "model/mesh.py",
        "    return (*ssh, *sites)\n",
        "    return (*ssh, *sites[1:])\n",
        "tests/unit/model/test_mesh.py::test_only_hosts_with_sites_are_reached_for_them_and_nobody_reaches_the_operator",
    ),
    _fault(
        "a firewall rule too many",
        "model/firewall.py",
        "openings=(*((_WIREGUARD,) if has_mesh else ()), *published)",
        "openings=(*((_WIREGUARD,) if has_mesh else ()), PUBLIC_SSH, *published)",
        "tests/unit/model/test_firewall.py::test_what_a_stranger_may_reach",
    ),
    _fault(
        "containers may ask the cloud's metadata service",
        "components/host/firewall.py",
        '    "169.254.0.0/16",  # a cloud\'s metadata service\n',
        "",
        "tests/unit/model/test_firewall.py::test_containers_are_refused_before_anything_is_let_through",
    ),
    _fault(
        "the object storage is spoken to in plain HTTP",
        "model/bucket.py",
        '"Condition": {"Bool": {"aws:SecureTransport": "false"}}',
        '"Condition": {"Bool": {"aws:SecureTransport": "true"}}',
        "tests/unit/model/test_bucket.py::test_plain_http_is_denied_to_everybody",
    ),
    _fault(
        "a digest that is known and not used",
        "model/image.py",
        '{prefix}{repository}@{digest}" if digest else',
        '{prefix}{repository}@{digest}" if digest and not mirror else',
        "tests/unit/model/test_image_lock.py::test_an_image_is_pulled_by_its_digest_wherever_it_is_known",
    ),
    _fault(
        "an image without a digest passes the policy pack",
        "policy/rules/images.py",
        "    if name and not _DIGEST.fullmatch(name) and",
        "    if not name and",
        "tests/policy/test_rules.py::test_what_breaks_it_is_told_with_its_remedy[images-pinned]",
    ),
    _fault(
        "a waiver that is not counted",
        "policy/program.py",
        "                if resource.name not in names:\n",
        "                if resource.name in names:\n",
        "tests/policy/test_rules.py::test_a_waiver_beside_it_covers_it_until_its_day[containers-capabilities]",
    ),
    _fault(
        "a waiver that never ends",
        "policy/program.py",
        " and waiver.holds(self.today) and",
        " and",
        "tests/policy/test_rules.py::test_a_waiver_beside_it_covers_it_until_its_day[containers-capabilities]",
    ),
    _fault(
        "a budget that lets 5 % too much pass",
        "services/litellm/proxy/budget.py",
        "    return settings.daily_limit if goes_on_in_eco else settings.daily_limit * settings.eco_share\n",
        "    return settings.daily_limit * 1.05 if goes_on_in_eco else settings.daily_limit * settings.eco_share\n",
        "tests/unit/services/test_litellm_budget.py::test_dear_models_stop_at_ninety_percent_eco_models_at_hundred",
    ),
    _fault(
        "a site without its access list",
        "services/caddy/caddyfile.py",
        "    steps = [*_strangers(site, vpn), *_paths(site), *routes,",
        "    steps = [*_paths(site), *routes,",
        "tests/unit/services/test_door.py::test_strangers_are_refused_before_anything_else_and_let_in_to_declared_paths_alone",
    ),
    _fault(
        "a secret in the log: headers of failed requests",
        "services/caddy/caddyfile.py",
        "			request>headers delete\n",
        "",
        "tests/unit/services/test_door.py::test_what_failed_is_logged_without_headers_and_queries",
    ),
    _fault(
        "a secret in an error message",
        "model/secret.py",
        'f"does not look like one (expected {source.pattern})"',
        'f"does not look like one: {value} (expected {source.pattern})"',
        "tests/unit/stacks/test_inputs.py::test_values_that_would_break_a_file_are_refused_without_being_shown",
    ),
    _fault(
        "a service without a healthcheck",
        "services/redis.py",
        '            command=(\n                "sh",\n',
        '            command=() and (\n                "sh",\n',
        "tests/unit/model/test_fleet.py::test_the_catalogue_obeys_every_law",
    ),
    _fault(
        "a capability kept",
        "components/docker/service_container.py",
        'docker.ContainerCapabilitiesArgs(drops=["ALL"],',
        "docker.ContainerCapabilitiesArgs(drops=[],",
        "tests/graph/test_graph.py::test_containers_are_confined[prod]",
    ),
    _fault(
        "a mount of the host that is writable",
        "components/docker/service_container.py",
        "docker.ContainerVolumeArgs(host_path=mount.path, container_path=mount.container_path, read_only=True)",
        "docker.ContainerVolumeArgs(host_path=mount.path, container_path=mount.container_path, read_only=False)",
        "tests/graph/test_graph.py::test_what_a_service_sees_of_its_host_and_its_files_is_read_only[prod]",
    ),
    _fault(
        "a gate that does not wait: who needs a service starts beside it",
        "components/docker/service_container.py",
        "        self.ready = [gate, *self._tasks([gate], data)]\n",
        "        self.ready = self._tasks([gate], data)\n",
        "tests/graph/test_graph.py::test_a_service_waits_for_the_tasks_of_what_it_needs[prod]",
    ),
    _fault(
        "a secret in a container's environment",
        "components/docker/service_container.py",
        '            envs=[f"{name}={value}" for name, value in service.environment.items()],\n',
        '            envs=[f"{name}={value}" for name, value in service.environment.items()]\n'
        '            + [self._resolve(f"{name}={value}") for name, value in service.secret_environment.items()],\n',
        "tests/graph/test_graph.py::test_no_secret_reaches_a_command_line_or_a_container[prod]",
    ),
    _fault(
        "data of production that `destroy` may take",
        "components/docker/service_container.py",
        "opts=pulumi.ResourceOptions(parent=self, protect=protect, depends_on",
        "opts=pulumi.ResourceOptions(parent=self, depends_on",
        "tests/graph/test_graph.py::test_data_directories_are_protected_in_prod_alone",
    ),
    _fault(
        "root may log in",
        "components/host/sshd.py",
        '{"PermitRootLogin": "no"}',
        '{"PermitRootLogin": "prohibit-password"}',
        "tests/unit/components/test_sshd.py::test_only_the_deploy_user_logs_in_and_root_never",
    ),
    _fault(
        "drift of sshd that nobody names",
        "components/host/host_drift.py",
        '        yield Difference("sshd listens on", _text(desired.ssh_ports), _text(facts.sshd_ports), Fix.ACCESS)\n',
        "        pass\n",
        "tests/unit/components/test_drift.py::test_each_hand_made_drift_is_named",
    ),
    _fault(
        "a script that goes on after an error",
        "components/scripts/installed/vpai-rescue.sh",
        "set -euo pipefail\n",
        "set -uo pipefail\n",
        "tests/unit/toolchain/test_scripts.py::test_scripts_stop_at_the_first_error[components/scripts/installed/vpai-rescue.sh]",
    ),
    _fault(
        "a commit that is on no remote is deployed",
        "operations/deploy/guard.py",
        "    if not tree.pushed:\n",
        "    if not tree.pushed and not tree.commit:\n",
        "tests/unit/operations/test_guard.py::test_a_dirty_and_unpushed_tree_is_told_both",
    ),
    _fault(
        "a stale backup lets data go",
        "operations/deploy/guard.py",
        "FRESH = timedelta(hours=26)",
        "FRESH = timedelta(hours=260)",
        "tests/unit/operations/test_guard.py::test_without_a_fresh_backup_data_stays",
    ),
    _fault(
        "production is reaped as an orphan",
        "operations/cloud/reap.py",
        "if resource.environment == _PRODUCTION:",
        "if resource.environment == 'never':",
        "tests/unit/operations/test_reap.py::test_nothing_of_a_production_is_an_orphan_or_expires_whatever_its_name[known0]",
    ),
    _fault(
        "a published snapshot tells a secret in hexadecimal",
        "operations/previews/snapshot.py",
        '    yield "hexadecimal", raw.hex()\n',
        "",
        "tests/unit/operations/test_offline.py::test_a_value_and_its_hashes_are_found_wherever_they_stand",
    ),
    _fault(
        "a sandbox keeps capabilities",
        "images/docker-proxy/policy.go",
        '\t\t"CapDrop":        []string{"ALL"},\n',
        "",
        "images/docker-proxy:TestASoundSandboxIsMadeFromABodyWrittenAnew",
    ),
    _fault(
        "the door to Docker opens without its token",
        "images/docker-proxy/proxy.go",
        "[]byte(token)) != 1 {",
        "[]byte(token)) > 1 {",
        "images/docker-proxy:TestNothingIsDoneWithoutTheToken",
    ),
    _fault(
        "a webhook's signature is not looked at",
        "images/webhook-gate/gate.go",
        "return signed(secret, request, hubHeader, text)\n",
        "return nil\n",
        "images/webhook-gate:TestOnlyWhatIsSignedAndAllowedIsKept",
    ),
    _fault(
        "any repository may be changed",
        "images/auto-fix/worker.go",
        "	if !worker.repositories[strings.ToLower(job.Repository)] {\n",
        "	if len(worker.repositories) == 0 {\n",
        "images/auto-fix:TestAnotherRepositoryIsRefusedWhateverWasOffered",
    ),
    _fault(
        "the lab's OVH takes any signature",
        "lab/providers/ovh.py",
        'if not hmac.compare_digest(headers.get("x-ovh-signature", ""), expected):',
        'if not headers.get("x-ovh-signature", expected):',
        "tests/unit/lab/test_lab_ovh.py::test_what_was_not_signed_like_this_is_refused_and_changes_nothing",
    ),
    _fault(
        "a script of the lab's images that goes on after an error",
        "lab/images/host/install.sh",
        "set -eu\n",
        "",
        "tests/unit/toolchain/test_scripts.py::test_scripts_stop_at_the_first_error[lab/images/host/install.sh]",
    ),
    _fault(
        "a workflow that may write where it only reads",
        ".github/workflows/drift.yml",
        "permissions:\n  contents: read\n",
        "permissions:\n  contents: write\n",
        "tests/unit/toolchain/test_workflows.py::test_a_workflow_has_no_more_rights_than_it_uses[drift]",
    ),
)
