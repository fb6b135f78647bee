"""CouchDB 3.3: the vault that Obsidian's LiveSync synchronizes; one node, no access without a password."""

import base64
from collections.abc import Iterator
from datetime import date
from urllib.parse import quote

from model.backup import Files
from model.credential import Basic, Credential, Request, Unverifiable
from model.proof import Found, Restored
from model.route import Access, Cors, RateLimit, Route
from model.secret import Generated, Secret
from model.service import Configuration, File, Healthcheck, Limits, Logs, NotCollected, Replacement, Service, Task, Volume
from model.waiver import Waiver
from services.context import Context
from services.networks import HUB

ADMIN = "admin"
ADMIN_PASSWORD = Secret(name="couchdb_admin_password", source=Generated())
OBSIDIAN = "obsidian"
OBSIDIAN_PASSWORD = Secret(name="couchdb_obsidian_password", source=Generated())
UUID = Secret(name="couchdb_uuid", source=Generated(length=32, hexadecimal=True))
"""Replications recognize the server by it. CouchDB's own is in the container's layer: a new one at each replacement."""
COOKIE_SECRET = Secret(name="couchdb_cookie_secret", source=Generated(length=64, hexadecimal=True))
"""CouchDB would generate it like the uuid, so that each replacement would end every session."""
VAULT = "obsidian_vault"
CORS = Cors(
    origins=("app://obsidian.md", "capacitor://localhost", "http://localhost"),
    methods=("GET", "PUT", "POST", "HEAD", "DELETE"),
    headers=("accept", "authorization", "content-type", "origin", "referer"),
)
"""For Obsidian's app on a computer, on iOS, and on Android."""
PORT = 5984
# CouchDB reads it before local.d, where the image's entrypoint writes the administrator.
DIRECTORY = "/opt/couchdb/etc/default.d"


def services(of: Context) -> Iterator[Service]:
    """The module's only service."""
    yield service()


def service(scale: float = 1.0) -> Service:
    """CouchDB with its vault and the vault's user."""
    return Service(
        name="couchdb",
        image="docker.io/apache/couchdb:3.3.3",
        networks=(HUB.name,),
        limits=Limits(memory_mib=448, cpus=0.5).scaled(scale),
        replacement=Replacement.STOP_FIRST,
        metrics=NotCollected(reason="only an administrator may ask for them, and no collector is to hold that password"),
        logs=Logs.PLAIN,
        # As in the image (apache/couchdb-docker). As the user below it neither needs nor tries to change owners.
        entrypoint=("tini", "--", "/docker-entrypoint.sh"),
        command=("/opt/couchdb/bin/couchdb",),
        secret_environment={"COUCHDB_USER": ADMIN, "COUCHDB_PASSWORD": f"{ADMIN_PASSWORD}"},
        configuration=Configuration(
            directory=DIRECTORY,
            owner="5984:5984",
            files=(
                File(path="10-vpai.ini", content=_SETTINGS),
                File(path="probe.curl", content=f'url = "http://127.0.0.1:{PORT}/"\nuser = "{ADMIN}:{ADMIN_PASSWORD}"\n'),
            ),
        ),
        secrets=(ADMIN_PASSWORD, OBSIDIAN_PASSWORD, UUID, COOKIE_SECRET),
        credentials=(
            # With require_valid_user every path needs a login, the welcome at / included.
            Credential(
                secret=ADMIN_PASSWORD, holder="the administrator", proof=Request(port=PORT, path="/", place=Basic(user=ADMIN))
            ),
            Credential(
                secret=OBSIDIAN_PASSWORD,
                holder="Obsidian's LiveSync",
                proof=Request(port=PORT, path=f"/{VAULT}", place=Basic(user=OBSIDIAN)),
            ),
            Unverifiable(secret=UUID, reason="a name and no key: every user of the server is shown it"),
            Unverifiable(secret=COOKIE_SECRET, reason="CouchDB signs its sessions' cookies with it, and shows it nobody"),
        ),
        volumes=(
            Volume(
                path="/opt/couchdb/data",
                directory="couchdb",
                owner="5984:5984",
                mode=0o755,
                # Half of LiveSync's key is in a `_local` document, which no replication or dump of documents contains.
                backup=Files(pause=True),
            ),
        ),
        tasks=(_PROVISIONING,),
        proof=_document_is_whole,
        routes=(
            Route(
                subdomain="obsidian",
                port=PORT,
                access=Access.PUBLIC,
                reason="Obsidian on iOS syncs without the VPN",
                # Paths that only administrators need are closed to the Internet, with or without a password.
                refused_paths=(
                    "/_utils*",
                    "/_node*",
                    "/_users*",
                    "/_replicat*",
                    "/_all_dbs*",
                    "/_cluster_setup*",
                    "/_active_tasks*",
                ),
                # A first synchronization requests thousands of chunks, a few at a time.
                rate_limit=RateLimit(requests=3000, seconds=60),
                # Five times the 20 MB that an attachment is expected to have; CouchDB's own limit is the document's 50 MB.
                body_mib=100,
                cors=CORS,
            ),
        ),
        healthcheck=Healthcheck(
            command=("curl", "-fsS", "-o", "/dev/null", "-K", f"{DIRECTORY}/probe.curl"),
            interval=30,
            timeout=10,
            retries=3,
            start_period=15,
        ),
        user="5984:5984",
        read_only_root=False,
        waivers=(
            Waiver(
                rule="containers-read-only-root",
                reason="the entrypoint writes the administrator below /opt/couchdb/etc/local.d",
                until=date(2027, 7, 19),
            ),
        ),
    )


def _document_is_whole(restored: Restored) -> Found:
    """Proof: one document is read, with attachments if there are any, and the attachments' lengths are compared."""
    login = base64.b64encode(f"{ADMIN}:{restored.secret(ADMIN_PASSWORD)}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Accept": "application/json"}
    rows = restored.ask(PORT, f"/{VAULT}/_all_docs?include_docs=true&limit=1000", headers)["rows"]
    documents = [row["doc"] for row in rows if not row["id"].startswith("_design/")]
    if not documents:
        return Found(words="no document is kept")
    attached = [document for document in documents if document.get("_attachments")]
    chosen = (attached or documents)[0]
    found = restored.ask(PORT, f"/{VAULT}/{quote(chosen['_id'], safe='')}?attachments=true", headers)
    sizes = [len(base64.b64decode(attachment["data"])) for attachment in found.get("_attachments", {}).values()]
    wanted = [attachment["length"] for attachment in chosen.get("_attachments", {}).values()]
    held = f"{len(sizes)} attachment{'' if len(sizes) == 1 else 's'}, {sum(sizes)} bytes read"
    return Found(words=f"a document with {held}, of {len(documents)} looked at", right=sizes == wanted)


# CORS headers are CouchDB's for its own answers: if Caddy set them too, they would come twice and clients would refuse.
_SETTINGS = f"""[couchdb]
single_node = true
uuid = {UUID}
max_document_size = 50000000

[chttpd]
bind_address = any
require_valid_user = true
max_http_request_size = 4294967296
enable_cors = true

[chttpd_auth]
secret = {COOKIE_SECRET}
timeout = 86400

[cors]
credentials = true
origins = {",".join(CORS.origins)}
headers = {", ".join(CORS.headers)}
methods = {", ".join(CORS.methods)}
max_age = 3600
"""

_PROVISIONING = Task(
    name="couchdb-vault",
    service="couchdb",
    command=("bash", "-s"),
    stdin=f"""set -euo pipefail
base=http://127.0.0.1:{PORT}
# Passwords go through a file descriptor: arguments show in the list of processes.
as() {{
	local who=$1
	shift
	curl -sS --max-time 20 -H 'Content-Type: application/json' -K <(printf 'user = "%s"\\n' "$who") "$@"
}}
admin='{ADMIN}:{ADMIN_PASSWORD}' obsidian='{OBSIDIAN}:{OBSIDIAN_PASSWORD}'
put() {{
	local status
	status=$(as "$admin" -o /dev/null -w '%{{http_code}}' -X PUT "$base/$1" ${{2:+-d "$2"}})
	case $status in
	2*) ;;
	412) ;; # a database that is there
	*) echo "CouchDB answered $status to PUT /$1" >&2; exit 1 ;;
	esac
}}
for database in _users _replicator _global_changes {VAULT}; do put "$database"; done
session() {{ as "$obsidian" -o /dev/null -w '%{{http_code}}' "$base/_session"; }}
if [[ $(session) != 200 ]]; then
	known=$(as "$admin" "$base/_users/org.couchdb.user:{OBSIDIAN}" | tr -d ' \\n' | sed -n 's/.*"_rev":"\\([^"]*\\)".*/\\1/p')
	put "_users/org.couchdb.user:{OBSIDIAN}" "{{${{known:+\\"_rev\\": \\"$known\\", }}\\"name\\": \\"{OBSIDIAN}\\", \
\\"password\\": \\"{OBSIDIAN_PASSWORD}\\", \\"roles\\": [], \\"type\\": \\"user\\"}}"
	if [[ $(session) != 200 ]]; then echo "CouchDB refuses the password it was just given for {OBSIDIAN}" >&2; exit 1; fi
fi
nobody='{{"names": [], "roles": ["_admin"]}}'
put "{VAULT}/_security" "{{\\"admins\\": $nobody, \\"members\\": {{\\"names\\": [\\"{OBSIDIAN}\\"], \\"roles\\": []}}}}"
""",
)
