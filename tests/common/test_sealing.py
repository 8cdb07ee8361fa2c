"""Secrets are sealed, and one secret takes the place of another without an outage."""

from itertools import pairwise

import pytest

from libs.common.errors import Unavailable
from libs.common.sealing import Seal

OLD, NEW = "the secret of last year", "the secret of this year"


def test_only_the_same_secret_purpose_and_owner_open() -> None:
    """What is sealed says nothing, and opens nowhere else."""
    seal = Seal(OLD, "second factors")
    sealed = seal.close(b"code", b"user")
    assert b"code" not in sealed
    assert seal.open(sealed, b"user") == b"code"
    for other, bound in ((seal, b"other"), (Seal(OLD, "mails"), b"user"), (Seal(NEW, "second factors"), b"user")):
        with pytest.raises(Unavailable):
            other.open(sealed, bound)


def test_the_error_names_what_has_to_be_mended() -> None:
    """Which secrets cannot be read, and the variable they were given in."""
    sealed = Seal(OLD, "webhooks", "SEALING_SECRET").close(b"x", b"")
    with pytest.raises(Unavailable, match="webhooks were encrypted with another SEALING_SECRET"):
        Seal(NEW, "webhooks", "SEALING_SECRET").open(sealed, b"")


def test_a_secret_is_replaced_in_three_steps_during_which_every_process_reads_what_any_wrote() -> None:
    """Old; old and new; new and old; new: neighbours of these understand each other, whoever is restarted first."""
    steps = [Seal(secret, "second factors") for secret in (OLD, f"{OLD}\n{NEW}\n", f"{NEW}\n{OLD}", NEW)]
    for before, after in pairwise(steps[:3]):
        for writer, reader in ((before, after), (after, before)):
            assert reader.open(writer.close(b"code", b"user"), b"user") == b"code"
            assert writer.digest(b"code") in reader.digests(b"code")
    assert steps[3].open(steps[2].close(b"code", b"user"), b"user") == b"code"
    with pytest.raises(Unavailable):
        steps[3].open(steps[0].close(b"code", b"user"), b"user")
