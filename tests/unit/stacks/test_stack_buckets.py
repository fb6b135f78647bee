"""Which buckets a stack has, under which names, and what they need."""

import json

from components.storage.properties import ACCESS_KEY, SECRET_KEY
from model.bucket import policy
from services import nocodb, storage, zerobyte
from stacks import buckets
from tests.support.fleets import DUMMY_SECRETS, NAMES, inputs


def test_production_keeps_backups_and_what_services_share() -> None:
    backups, shared = inputs("prod").fleet.buckets
    assert (backups.name, shared.name) == ("example-org-backups", "example-org-shared")
    assert all(bucket.versioning and bucket.https_only and not bucket.emptied for bucket in (backups, shared))
    assert inputs("prod", backupLockDays="14").fleet.buckets[0].lock_days == 14


def test_a_copy_has_no_backups_and_takes_its_bucket_with_it() -> None:
    (shared,) = inputs("preprod").fleet.buckets
    assert (shared.name, shared.emptied) == ("example-org-shared", True)


def test_each_service_is_told_its_own_bucket_and_its_own_key() -> None:
    services = {service.name: service for _, service in inputs("prod").fleet.services()}
    attachments = services["nocodb"]
    assert attachments.environment["NC_S3_BUCKET_NAME"] == "example-org-shared"
    assert attachments.environment["NC_S3_ENDPOINT"] == "https://fsn1.your-objectstorage.com"
    assert attachments.secret_environment["NC_S3_ACCESS_KEY"] == f"{storage.SHARED_ACCESS_KEY}"
    assert services["zerobyte"].secret_environment["S3_BACKUPS_SECRET_KEY"] == f"{storage.BACKUPS_SECRET_KEY}"
    admin_keys = {storage.ADMIN_ACCESS_KEY, storage.ADMIN_SECRET_KEY}
    assert not [name for name, service in services.items() if admin_keys & set(service.secrets)], "the admin key is nobody's"


def test_a_key_of_one_bucket_is_shut_out_of_the_other() -> None:
    for bucket in inputs("prod").fleet.buckets:
        found = {statement["Sid"]: statement for statement in json.loads(policy(bucket))["Statement"]}
        hosts = [storage.backup_keys(host)[0] for host in ("seko", "sese")]
        others = [storage.SHARED_ACCESS_KEY] if bucket.name.endswith("backups") else [storage.BACKUPS_ACCESS_KEY, *hosts]
        assert found["NotTheirs"]["Principal"] == {"AWS": [f"arn:aws:iam:::user/p1234567:{other}" for other in others]}
        assert (found["NotTheirs"]["Effect"], found["NotTheirs"]["Action"]) == ("Deny", "s3:*")


def test_without_a_prefix_there_are_no_buckets_and_nobody_is_told_of_one() -> None:
    without = inputs("prod", bucketPrefix="")
    assert without.fleet.buckets == ()
    services = {service.name: service for _, service in without.fleet.services()}
    assert not [name for name in services["nocodb"].environment if name.startswith("NC_S3")]
    assert set(services["zerobyte"].secret_environment) == {"APP_SECRET"}
    assert nocodb.service(NAMES).secrets == services["nocodb"].secrets
    assert zerobyte.service(NAMES).secrets == services["zerobyte"].secrets


HOSTS = ("sese", "seko", "waza")


def test_keys_that_are_missing_are_named_with_where_to_get_them() -> None:
    wanted = inputs("prod").fleet.buckets
    assert list(buckets.problems("prod", wanted, HOSTS, DUMMY_SECRETS)) == []
    reported = list(buckets.problems("prod", wanted, HOSTS, {}))
    assert [problem.what for problem in reported] == [
        f"the secret {secret.name} is missing" for secret in storage.secrets(("sese", "seko"))
    ], "nothing on the workstation is backed up"
    assert all("S3 credentials" in problem.fix for problem in reported)
    # A copy without backups needs no key for them.
    copied = list(buckets.problems("preprod", inputs("preprod").fleet.buckets, ["preprod"], {}))
    assert not [problem for problem in copied if "backups" in problem.what]


def test_the_catalogue_and_the_provider_mean_the_same_key() -> None:
    assert (storage.ADMIN_ACCESS_KEY.name, storage.ADMIN_SECRET_KEY.name) == (ACCESS_KEY, SECRET_KEY)
