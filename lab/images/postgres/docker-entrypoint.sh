#!/bin/bash
# The interface of docker-library/postgres, as far as VPAI uses it: PGDATA, POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD or
# POSTGRES_PASSWORD_FILE, POSTGRES_INITDB_ARGS, /docker-entrypoint-initdb.d, and never a server that runs as root. contract.json
# beside it says where that is from; another variable of its kind is refused.
set -euo pipefail

main() {
    local name known
    known=$(sed -n 's/^ *"\(POSTGRES_[^"]*[^_"]\)": .*/\1/p' /usr/local/share/lab/contract.json)
    for name in $(compgen -e POSTGRES_ || true); do
        [[ $name =~ ^$known$ ]] || {
            echo "$name is no variable that the lab's entrypoint reads" >&2
            exit 78
        }
    done
    case ${1:-} in -*) set -- postgres "$@" ;; esac
    [ "$1" = postgres ] || exec "$@"
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA"
        chmod 700 "$PGDATA"
        find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres '{}' +
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    shift
    # This server's own default is /tmp; the official image's, and the clients' here, is this.
    set -- -c unix_socket_directories=/var/run/postgresql "$@"
    [ -s "$PGDATA/PG_VERSION" ] || create "$@"
    exec postgres "$@"
}

create() {
    local password=${POSTGRES_PASSWORD:-} user=${POSTGRES_USER:-postgres} server
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        password=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    if [ -z "$password" ]; then
        echo "The database is empty and there is no superuser password, so anyone could become superuser." \
            "Set POSTGRES_PASSWORD_FILE, for example to a mounted secret." >&2
        exit 1
    fi
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    eval "initdb --username=\"\$user\" --pwfile=<(printf '%s\n' \"\$password\") ${POSTGRES_INITDB_ARGS:-}"
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"

    postgres "$@" -c listen_addresses= &
    server=$!
    until pg_isready -q -U "$user" -h /var/run/postgresql; do
        kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
        sleep 0.1
    done
    export PGHOST=/var/run/postgresql PGUSER=$user PGPASSWORD=$password
    local database=${POSTGRES_DB:-$user} file
    if [ "$database" != postgres ]; then
        psql -X -q -v ON_ERROR_STOP=1 -d postgres -v name="$database" <<<'CREATE DATABASE :"name";'
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh) bash "$file" ;;
        *.sql) psql -X -v ON_ERROR_STOP=1 --no-password -d "$database" -f "$file" ;;
        esac
    done
    unset PGHOST PGUSER PGPASSWORD
    kill -INT "$server"
    wait "$server"
}

main "$@"
