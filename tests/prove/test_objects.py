"""A bucket that is full changes its settings, also in the middle of a large upload. Writes docs/proofs/objects.md."""

import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from lab.storage import ADMIN, SHARED
from tests.engine.test_buckets import NAME, Stack
from tests.engine.test_object_storage import POLICED
from tests.prove import proof
from tests.support.object_storage import running

OBJECTS = 10_000
PART, PARTS = 64 << 20, 80
"""5 GiB."""


def test_ten_thousand_objects_and_five_gibibytes_survive_an_update(tmp_path: Path, toolchain: Path) -> None:
    rows: list[tuple[str, str]] = []

    def timed(what: str, start: float) -> None:
        rows.append((what, f"{time.monotonic() - start:.1f} s"))
        print(*rows[-1], flush=True)

    with running(tmp_path / "s3", toolchain) as storage:
        stack = Stack(tmp_path, toolchain, storage.endpoint, storage.region, ADMIN)
        stack.configure({}, {"s3_access_key": SHARED.access_key})
        start = time.monotonic()
        stack.want(fields=POLICED)
        stack.up()
        timed("the empty bucket is made by an up", start)
        s3 = stack.s3

        start = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: s3.put_object(Bucket=NAME, Key=f"small/{n}", Body=f"{n}".encode()), range(OBJECTS)))
        timed(f"{OBJECTS} objects are put", start)

        start, parts, written = time.monotonic(), [], sha256()
        upload = s3.create_multipart_upload(Bucket=NAME, Key="large")["UploadId"]
        for number in range(1, PARTS + 1):
            part = _part(number)
            written.update(part)
            etag = s3.upload_part(Bucket=NAME, Key="large", UploadId=upload, PartNumber=number, Body=part)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
            if number == PARTS // 2:
                changed = time.monotonic()
                stack.want(fields={**POLICED, "noncurrent_days": 90})
                stack.up()
                timed("an up changes the bucket in the middle of the upload", changed)
        s3.complete_multipart_upload(Bucket=NAME, Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
        timed(f"{PART * PARTS >> 30} GiB are uploaded in {PARTS} parts, that up included", start)

        start = time.monotonic()
        stack.want(fields={**POLICED, "noncurrent_days": 60})
        stack.up()
        timed("an up changes the full bucket", start)
        start = time.monotonic()
        stack.up("--refresh", "--expect-no-changes")
        timed("an up with a refresh finds no difference", start)

        keys = [each["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=NAME) for each in page["Contents"]]
        assert sorted(keys) == sorted(["large", *(f"small/{number}" for number in range(OBJECTS))])
        with ThreadPoolExecutor(8) as pool:
            read = pool.map(lambda n: s3.get_object(Bucket=NAME, Key=f"small/{n}")["Body"].read(), range(OBJECTS))
            assert list(read) == [f"{number}".encode() for number in range(OBJECTS)]
        back = sha256()
        for chunk in s3.get_object(Bucket=NAME, Key="large")["Body"].iter_chunks(PART):
            back.update(chunk)
        assert back.hexdigest() == written.hexdigest()
        assert "is not empty, so it is not deleted" in stack.destroy(check=False)
    how = "versitygw on this machine, a bucket with versions, lifecycle and policy; every object is read back and compared."
    proof.write("objects", "A full bucket is changed", how, ("what", "took"), rows)


def _part(number: int) -> bytes:
    return sha256(str(number).encode()).digest() * (PART // 32)
