"""Every mutant of a copy in which mutmut has run, as JSON; run there."""

import json
import sys
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files


def _change(name: str, path: Path) -> str:
    lines = get_diff_for_mutant(name, path=path).splitlines()
    return "\n".join(line for line in lines if line[:1] in "-+" and line[:3] not in ("---", "+++"))


def main() -> None:
    """Name, status and, of one that no test killed, what is changed."""
    found = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            change = _change(name, path) if status in ("survived", "no tests") else ""
            found.append({"name": name, "status": status, "change": change})
    json.dump(found, sys.stdout)


main()
