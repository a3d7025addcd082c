"""Promote and roll back by hand, in a real registry."""

import pytest

from gan3d.errors import UserError
from gan3d.registry import aliases, promotion


@pytest.fixture
def three(client):
    """Three versions without a champion."""
    client.create_registered_model("gan3d")
    for _ in range(3):
        client.create_model_version("gan3d", "file:///nowhere")
    return client


def promotion_tags(client, number):
    tags = client.get_model_version("gan3d", str(number)).tags
    return tags.get("promotion"), tags.get("promotion_reason")


def test_promotion_by_hand_tags_both_versions_with_the_reason(three):
    assert aliases.promote(three, 1, "the first") == aliases.Move(None, 1)
    assert aliases.promote(three, 3, "rounder legs") == aliases.Move(1, 3)
    assert aliases.champion(three) == 3
    assert promotion_tags(three, 3) == ("promoted", "rounder legs")
    assert promotion_tags(three, 1) == ("replaced by hand", "by version 3: rounder legs")
    assert promotion_tags(three, 2) == (None, None)
    with pytest.raises(UserError, match="version 3 is the champion already"):
        aliases.promote(three, 3, "again")


def test_rollback_goes_back_step_by_step(three):
    for number in (1, 2, 3):
        aliases.promote(three, number, f"reason {number}")
    assert aliases.rollback(three, "floating seats") == aliases.Move(3, 2)
    assert promotion_tags(three, 3) == ("rolled back", "to version 2: floating seats")
    assert promotion_tags(three, 2) == ("promoted", "rolled back from version 3: floating seats")
    assert aliases.rollback(three, "still") == aliases.Move(2, 1)
    with pytest.raises(UserError, match="version 1 has no former champion"):
        aliases.rollback(three, "further")
    assert aliases.champion(three) == 1


def test_rollback_skips_deleted_versions(three):
    for number in (1, 2, 3):
        aliases.promote(three, number, "")
    three.delete_model_version("gan3d", "2")
    assert aliases.rollback(three, "") == aliases.Move(3, 1)


def test_rollback_undoes_a_promotion_of_the_pipeline(three):
    for number, score in ((1, 0.9), (2, 0.7)):
        three.set_model_version_tag("gan3d", str(number), "excess", str(score))
        assert promotion.promote(three, number, 0.01, lambda version: None).promoted
    assert aliases.rollback(three, "looks worse") == aliases.Move(2, 1)


def test_rollback_ignores_a_promotion_that_was_killed(three):
    aliases.promote(three, 1, "")
    aliases.promote(three, 2, "")
    aliases.remember(three, 2)  # what a promotion of 3 does before it moves the alias
    assert aliases.rollback(three, "") == aliases.Move(2, 1)


def test_without_a_champion_there_is_nothing_to_roll_back(three):
    with pytest.raises(UserError, match="no champion to roll back from: promote a version first"):
        aliases.rollback(three, "")


@pytest.mark.parametrize(
    "wanted", ["2", "gan3d/2", "models:/gan3d/2", "champion", "@champion", "models:/gan3d@champion"]
)
def test_a_version_by_any_of_its_names(three, wanted):
    aliases.promote(three, 2, "")
    assert aliases.number_of(three, wanted) == 2


@pytest.mark.parametrize("wanted", ["9", "nobody", "chairs/2", ""])
def test_an_unknown_version_lists_those_there_are(three, wanted):
    aliases.promote(three, 2, "")
    with pytest.raises(UserError, match="does not exist: choose one of 1, 2, 3, champion"):
        aliases.number_of(three, wanted)


def test_an_empty_registry(client, mlruns, tmp_path):
    assert aliases.versions(client) == []
    assert aliases.champion(client) is None
    with pytest.raises(UserError, match="no version is registered yet"):
        aliases.number_of(client, "1")
