"""What is pulled for an image's name."""

from model.image import DIGEST, ImageLock

NAME, PINNED = "docker.io/library/redis:8.0-bookworm", "sha256:" + "a" * 64
LOCK = ImageLock({NAME: PINNED, "quay.io/unknown:1": None})


def test_an_image_is_pulled_by_its_digest_wherever_it_is_known() -> None:
    assert DIGEST.fullmatch(PINNED)
    assert LOCK.reference(NAME, "") == f"docker.io/library/redis@{PINNED}"
    assert LOCK.reference(NAME, "mirror.test:5000") == f"mirror.test:5000/docker.io/library/redis@{PINNED}"


def test_one_that_nobody_looked_up_is_pulled_by_its_tag() -> None:
    assert LOCK.reference("quay.io/unknown:1", "") == "quay.io/unknown:1"
    assert LOCK.reference("ghcr.io/new/one:2", "mirror.test:5000") == "mirror.test:5000/ghcr.io/new/one:2"


def test_a_registrys_port_is_no_tag() -> None:
    lock = ImageLock({"registry.test:5000/a/b:1": PINNED})
    assert lock.reference("registry.test:5000/a/b:1", "") == f"registry.test:5000/a/b@{PINNED}"
    assert lock.reference("registry.test:5000/a/c:2", "") == "registry.test:5000/a/c:2"
