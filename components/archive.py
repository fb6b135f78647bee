"""Packs files into one text that a script unpacks: base64 of a tar archive."""

import base64
import io
import tarfile
from collections.abc import Mapping
from typing import Any


def packed(files: Mapping[str, Mapping[str, Any]], owner: str = "0:0") -> str:
    """The archive of `files` (path -> {"content": text, "mode": octal digits}), owned by `owner` (uid:gid)."""
    uid, _, gid = owner.partition(":")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, file in sorted(files.items()):
            content = file["content"].encode()
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.uid, member.gid = len(content), int(file["mode"], 8), int(uid), int(gid)
            archive.addfile(member, io.BytesIO(content))
    return base64.encodebytes(buffer.getvalue()).decode()
