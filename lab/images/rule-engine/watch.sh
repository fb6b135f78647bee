#!/usr/bin/env bash
# Evaluate /rules/rules.yml against the datasource at $1 and tell whom /rules/alertmanager.yml names: watch.sh URL
# The datasource's user and password are in /rules/user and /rules/password.
set -euo pipefail

main() {
	prometheus-alertmanager --config.file=/rules/alertmanager.yml --storage.path=/tmp/alerts \
		--web.listen-address=127.0.0.1:9093 --cluster.listen-address= &
	vmalert -rule=/rules/rules.yml -datasource.url="$1" -notifier.url=http://127.0.0.1:9093 -httpListenAddr=127.0.0.1:8880 \
		-evaluationInterval=5s -rule.evalDelay=0s \
		-datasource.basicAuth.username="$(cat /rules/user)" -datasource.basicAuth.passwordFile=/rules/password &
	wait -n
}

main "$@"
