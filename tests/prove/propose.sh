#!/usr/bin/env bash
# The proofs that `make prove` wrote, as a pull request from the branch proofs: propose.sh REMOTE. Another day alone is no change.
set -euo pipefail
cd "$(dirname "$0")/../.."

git add --intent-to-add docs/proofs
if [[ -z $(git diff --ignore-matching-lines='^20[0-9]{2}-[0-9]{2}-[0-9]{2}, ' -- docs/proofs) ]]; then
	echo "docs/proofs says what it said before; nothing is proposed"
	exit
fi
git switch --quiet --force-create proofs
git -c user.name='github-actions[bot]' -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
	commit --quiet --message 'What the rehearsals measured this week' -- docs/proofs
git push --quiet --force "$1" proofs
if [[ $(gh pr list --head proofs --state open --json number --jq length) == 0 ]]; then
	gh pr create --head proofs --base main --title 'What the rehearsals measured this week' --body 'Written by make prove; the artifact of the run has the same pages.'
else
	echo "the open pull request of the branch proofs has them now"
fi
