#!/bin/bash
# Claude Code over the files in the working directory, with the instructions on standard input. It may read and edit them and
# run nothing; --restricted confines its tools to the directory and takes no settings from it. The key is not here: the worker
# adds it (model.go).
set -euo pipefail

export ANTHROPIC_BASE_URL=http://127.0.0.1:8084 ANTHROPIC_API_KEY=added-by-the-worker
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1
exec claude --print --max-turns 25 --restricted --strict-mcp-config --setting-sources "" --no-session-persistence \
    --tools "Read,Grep,Glob,Edit,Write" --allowedTools "Read,Grep,Glob,Edit,Write"
