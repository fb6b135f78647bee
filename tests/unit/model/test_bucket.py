"""What a bucket is to be, as rules and a policy; and how it is asked for."""

import json
from dataclasses import replace
from typing import Any

import pytest

from components.storage.object_storage import client
from model.bucket import Bucket, Expiry, Keys, lifecycle, policy, problems

KEYS = Keys(admin="KEEPER", limited={"SECOND": "nc-attachments/"}, principal="arn:aws:iam:::user/p1234567:{key}")


def statements(bucket: Bucket) -> dict[str, Any]:
    return {statement["Sid"]: statement for statement in json.loads(policy(bucket))["Statement"]}


def test_versions_go_and_unfinished_uploads_too() -> None:
    assert lifecycle(Bucket(name="backups", expiries=(Expiry(prefix="exports/", days=30),))) == [
        {"id": "abort-multipart", "prefix": "", "abort_days": 7},
        {"id": "expire-exports", "prefix": "exports/", "days": 30},
        {"id": "noncurrent", "prefix": "", "noncurrent_days": 30},
    ]
    assert [rule["id"] for rule in lifecycle(Bucket(name="shared", versioning=False))] == ["abort-multipart"]


def test_plain_http_is_denied_to_everybody() -> None:
    denied = statements(Bucket(name="backups"))["OnlyOverTls"]
    assert (denied["Principal"], denied["Condition"]) == ("*", {"Bool": {"aws:SecureTransport": "false"}})


def test_all_keys_but_one_are_denied_to_delete_versions() -> None:
    denied = statements(Bucket(name="backups", keys=KEYS))["OnlyTheKeeperDeletesVersions"]
    assert denied["NotPrincipal"] == {"AWS": ["arn:aws:iam:::user/p1234567:KEEPER"]}
    assert {"s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:BypassGovernanceRetention"} <= set(denied["Action"])


def test_a_limited_key_is_denied_all_outside_of_its_prefix() -> None:
    found = statements(Bucket(name="shared", keys=KEYS))
    whole, below = "arn:aws:s3:::shared", "arn:aws:s3:::shared/nc-attachments/*"
    assert found["Limited1NothingElse"]["NotResource"] == [whole, below]
    assert found["Limited1NoOtherLists"]["Condition"] == {"StringNotLike": {"s3:prefix": "nc-attachments/*"}}
    assert {"s3:DeleteObjectVersion", "s3:PutBucketPolicy"} <= set(found["Limited1NoVersions"]["Action"])
    for name in ("Limited1NothingElse", "Limited1NoOtherLists", "Limited1NoVersions"):
        assert (found[name]["Effect"], found[name]["Principal"]) == ("Deny", {"AWS": ["arn:aws:iam:::user/p1234567:SECOND"]})
    # Where keys reach nothing by themselves, what is left has to be allowed.
    assert (found["Limited1Objects"]["Effect"], found["Limited1Objects"]["Resource"]) == ("Allow", [below])


def test_a_key_without_a_prefix_works_in_the_whole_bucket_and_deletes_no_version() -> None:
    found = statements(Bucket(name="backups", keys=Keys(admin="KEEPER", limited={"SECOND": ""}, principal="{key}")))
    assert "Limited1NothingElse" not in found
    assert found["Limited1Objects"]["Resource"] == ["arn:aws:s3:::backups/*"]
    assert "Condition" not in found["Limited1Lists"]
    assert "s3:DeleteObjectVersion" in found["Limited1NoVersions"]["Action"]


REPOSITORIES = Keys(admin="KEEPER", appending={"SESE": "sese/", "SEKO": "seko/"}, looking=("VIEW",), principal="{key}")


def test_an_appending_key_deletes_nothing_of_its_repository_but_locks() -> None:
    found = statements(Bucket(name="backups", keys=REPOSITORIES))
    own = [statement for statement in found.values() if statement.get("Principal") == {"AWS": ["SESE"]}]
    allowed = {action for statement in own if statement["Effect"] == "Allow" for action in statement["Action"]}
    assert allowed == {
        *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetBucketLocation"),
        *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
    }
    deletes = [statement for statement in own if "s3:DeleteObject" in statement["Action"]]
    assert [(statement["Effect"], statement["Resource"]) for statement in deletes] == [
        ("Allow", ["arn:aws:s3:::backups/sese/locks/*"]),
        ("Deny", [f"arn:aws:s3:::backups/sese/{part}" for part in ("data/*", "index/*", "snapshots/*", "keys/*", "config")]),
    ]
    [elsewhere] = [statement for statement in own if "NotResource" in statement]
    assert (elsewhere["Effect"], elsewhere["NotResource"][1:]) == ("Deny", ["arn:aws:s3:::backups/sese/*"])


def test_no_key_but_the_admin_keys_locks_a_version() -> None:
    for keys in (KEYS, REPOSITORIES):
        found = statements(Bucket(name="backups", keys=keys))
        denied = [
            statement for name, statement in found.items() if name.endswith("NoVersions") or name.startswith("OnlyTheKeeper")
        ]
        assert len(denied) > 1
        assert all({"s3:PutObjectRetention", "s3:PutObjectLegalHold"} <= set(statement["Action"]) for statement in denied)


def test_a_looking_key_writes_locks_alone() -> None:
    found = statements(Bucket(name="backups", keys=REPOSITORIES))
    locks = ["arn:aws:s3:::backups/seko/locks/*", "arn:aws:s3:::backups/sese/locks/*"]
    assert found["Looking1Locks"]["Resource"] == locks
    repositories = ["arn:aws:s3:::backups/seko/*", "arn:aws:s3:::backups/sese/*"]
    assert found["Looking1NothingElse"]["NotResource"] == ["arn:aws:s3:::backups", *repositories]
    assert set(found["Looking1WritesNothing"]["Action"]) == {"s3:PutObject", "s3:DeleteObject"}


ADMINISTRATION = [
    *("s3:DeleteBucket", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration"),
    *("s3:PutBucketAcl", "s3:PutObjectAcl", "s3:PutBucketObjectLockConfiguration", "s3:BypassGovernanceRetention"),
    *("s3:PutObjectRetention", "s3:PutObjectLegalHold"),
]
VERSIONS = ["s3:DeleteObjectVersion", *ADMINISTRATION]
OBJECTS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]


def test_the_whole_policy_of_a_bucket_that_two_keys_share() -> None:
    """Word by word: a service takes a misspelt effect, action or resource for one that nobody meant."""
    bucket = Bucket(name="shared", keys=replace(KEYS, excluded=("THIRD",)))
    whole, inside, below = "arn:aws:s3:::shared", "arn:aws:s3:::shared/*", "arn:aws:s3:::shared/nc-attachments/*"
    admin, second, third = ({"AWS": [f"arn:aws:iam:::user/p1234567:{key}"]} for key in ("KEEPER", "SECOND", "THIRD"))
    only = {"s3:prefix": "nc-attachments/*"}
    reported = json.loads(policy(bucket))
    assert reported["Version"] == "2012-10-17"
    assert [(statement.pop("Sid"), statement)[1] for statement in reported["Statement"]] == [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [whole, inside],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {"Effect": "Allow", "Principal": admin, "Action": "s3:*", "Resource": [whole, inside]},
        {"Effect": "Deny", "NotPrincipal": admin, "Action": VERSIONS, "Resource": [whole, inside]},
        {"Effect": "Deny", "Principal": third, "Action": "s3:*", "Resource": [whole, inside]},
        {"Effect": "Allow", "Principal": second, "Action": OBJECTS, "Resource": [below]},
        {"Effect": "Allow", "Principal": second, "Action": ["s3:GetBucketLocation"], "Resource": [whole]},
        {
            "Effect": "Allow",
            "Principal": second,
            "Action": ["s3:ListBucket"],
            "Resource": [whole],
            "Condition": {"StringLike": only},
        },
        {"Effect": "Deny", "Principal": second, "Action": VERSIONS, "Resource": [whole, inside]},
        {"Effect": "Deny", "Principal": second, "Action": "s3:*", "NotResource": [whole, below]},
        {
            "Effect": "Deny",
            "Principal": second,
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": [whole],
            "Condition": {"StringNotLike": only},
        },
        {"Effect": "Deny", "Principal": second, "Action": ["s3:ListBucketMultipartUploads"], "Resource": [whole]},
    ]


def test_statements_have_names_of_their_own_in_an_order_that_never_changes() -> None:
    keys = Keys(admin="KEEPER", limited={"B": "", "A": "below/"}, principal="{key}")
    reported = policy(Bucket(name="shared", keys=keys))
    names = [statement["Sid"] for statement in json.loads(reported)["Statement"]]
    assert names == [
        *("OnlyOverTls", "TheKeeperMayAll", "OnlyTheKeeperDeletesVersions"),
        *(
            f"Limited1{name}"
            for name in ("Objects", "Location", "Lists", "NoVersions", "NothingElse", "NoOtherLists", "NoUploads")
        ),
        *(f"Limited2{name}" for name in ("Objects", "Location", "Lists", "NoVersions")),
    ]
    assert reported == json.dumps(json.loads(reported), sort_keys=True)
    assert policy(Bucket(name="shared", https_only=False)) == ""


def test_expiries_are_named_after_their_prefix() -> None:
    expiries = (Expiry(prefix="", days=1), Expiry(prefix="/a/b/", days=1))
    rules = lifecycle(Bucket(name="shared", expiries=expiries, abort_multipart_days=0, noncurrent_days=0))
    assert [rule["id"] for rule in rules] == ["expire-a-b", "expire-all"]


@pytest.mark.parametrize(
    "bucket", [Bucket(name="b-1"), Bucket(name="backups", lock_days=14, expiries=(Expiry(prefix="", days=14),))]
)
def test_what_is_sound_is_no_problem(bucket: Bucket) -> None:
    assert list(problems(bucket)) == []
    assert list(problems(replace(bucket, expiries=(Expiry(prefix="", days=max(1, bucket.lock_days)),)))) == []


def test_no_statement_uses_what_ceph_ignores() -> None:
    for keys in (KEYS, REPOSITORIES):
        assert "NotAction" not in policy(Bucket(name="shared", keys=keys))


@pytest.mark.parametrize(
    ("bucket", "what"),
    [
        (Bucket(name="Backups"), "cannot be a bucket's name"),
        (Bucket(name="1.2.3.4"), "cannot be a bucket's name"),
        (Bucket(name="backups", versioning=False, lock_days=1), "a lock without versioning"),
        (Bucket(name="backups", lock_days=14, expiries=(Expiry(prefix="", days=7),)), "expires after 7 days"),
        (Bucket(name="backups", expiries=(Expiry(prefix="old/", days=0),)), "old/ expires after 0 days"),
        (Bucket(name="backups", lock_days=1, emptied=True), "what is locked cannot be emptied"),
        (Bucket(name="backups", keys=Keys(admin="KEEPER")), "still has {project} in it"),
    ],
)
def test_what_would_be_regretted_is_told_before(bucket: Bucket, what: str) -> None:
    (problem,) = problems(bucket)
    assert what in problem.what


def test_documents_carry_the_checksum_that_ceph_wants_and_uploads_none_in_a_trailer() -> None:
    s3 = client("http://127.0.0.1:9", "fsn1", "key", "secret")
    sent: list[Any] = []

    def keep(request: Any, **_: Any) -> None:
        sent.append(request)
        raise InterruptedError

    s3.meta.events.register("before-send.s3", keep)
    rules = {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    with pytest.raises(InterruptedError):
        s3.put_bucket_lifecycle_configuration(Bucket="b", LifecycleConfiguration=rules)
    with pytest.raises(InterruptedError):
        s3.put_object(Bucket="b", Key="k", Body=b"x")
    document, upload = sent
    assert document.headers["Content-MD5"]
    assert "aws-chunked" not in str(upload.headers)
    assert not [name for name in upload.headers if name.lower().startswith("x-amz-checksum")]
