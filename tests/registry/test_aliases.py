"""Promote and roll back by hand, in a real registry."""

import pytest
from candidates import MODEL, facts

from gan3d.errors import UserError
from gan3d.registry import aliases, promotion
from gan3d.registry.log import log_candidate
from gan3d.registry.models import model_folder


@pytest.fixture
def three(client):
    """Three versions without a champion."""
    client.create_registered_model(MODEL)
    for _ in range(3):
        client.create_model_version(MODEL, "file:///nowhere")
    return client


def promotion_tags(client, number):
    tags = client.get_model_version(MODEL, str(number)).tags
    return tags.get("promotion"), tags.get("promotion_reason")


def test_promotion_by_hand_tags_both_versions_with_the_reason(three):
    assert aliases.promote(three, MODEL, 1, "the first") == aliases.Move(None, 1)
    assert aliases.promote(three, MODEL, 3, "rounder legs") == aliases.Move(1, 3)
    assert aliases.champion(three, MODEL) == 3
    assert promotion_tags(three, 3) == ("promoted", "rounder legs")
    assert promotion_tags(three, 1) == ("replaced by hand", "by version 3: rounder legs")
    assert promotion_tags(three, 2) == (None, None)
    with pytest.raises(UserError, match="version 3 is the champion already"):
        aliases.promote(three, MODEL, 3, "again")


def test_rollback_goes_back_step_by_step(three):
    for number in (1, 2, 3):
        aliases.promote(three, MODEL, number, f"reason {number}")
    assert aliases.rollback(three, MODEL, "floating seats") == aliases.Move(3, 2)
    assert promotion_tags(three, 3) == ("rolled back", "to version 2: floating seats")
    assert promotion_tags(three, 2) == ("promoted", "rolled back from version 3: floating seats")
    assert aliases.rollback(three, MODEL, "still") == aliases.Move(2, 1)
    with pytest.raises(UserError, match="version 1 has no former champion"):
        aliases.rollback(three, MODEL, "further")
    assert aliases.champion(three, MODEL) == 1


def test_rollback_skips_deleted_versions(three):
    for number in (1, 2, 3):
        aliases.promote(three, MODEL, number, "")
    three.delete_model_version(MODEL, "2")
    assert aliases.rollback(three, MODEL, "") == aliases.Move(3, 1)


def test_rollback_undoes_a_promotion_of_the_pipeline(three):
    for number, score in ((1, 0.9), (2, 0.7)):
        three.set_model_version_tag(MODEL, str(number), "excess", str(score))
        assert promotion.promote(three, MODEL, number, 0.01, lambda version: None).promoted
    assert aliases.rollback(three, MODEL, "looks worse") == aliases.Move(2, 1)


def test_rollback_ignores_a_promotion_that_was_killed(three):
    aliases.promote(three, MODEL, 1, "")
    aliases.promote(three, MODEL, 2, "")
    aliases.remember(three, MODEL, 2)  # what a promotion of 3 does before it moves the alias
    assert aliases.rollback(three, MODEL, "") == aliases.Move(2, 1)


def test_without_a_champion_there_is_nothing_to_roll_back(three):
    with pytest.raises(UserError, match="no champion to roll back from: promote a version first"):
        aliases.rollback(three, MODEL, "")


@pytest.mark.parametrize(
    "wanted", ["2", "furniture/2", "models:/furniture/2", "champion", "@champion", "models:/furniture@champion"]
)
def test_a_version_by_any_of_its_names(three, wanted):
    aliases.promote(three, MODEL, 2, "")
    assert aliases.find_version(three, wanted, MODEL) == (MODEL, 2)


@pytest.mark.parametrize("wanted", ["9", "nobody", "furniture/9", ""])
def test_an_unknown_version_lists_those_there_are(three, wanted):
    aliases.promote(three, MODEL, 2, "")
    with pytest.raises(UserError, match=r"of furniture does not exist: choose one of 1, 2, 3, champion"):
        aliases.find_version(three, wanted, MODEL)
    with pytest.raises(UserError, match="no version of chairs is registered yet"):
        aliases.find_version(three, "chairs/2", MODEL)


def test_an_empty_registry(client, mlruns, tmp_path):
    assert aliases.versions(client, MODEL) == []
    assert aliases.champion(client, MODEL) is None
    with pytest.raises(UserError, match="no version of furniture is registered yet"):
        aliases.find_version(client, "1", MODEL)


def test_the_champion_of_an_older_gan3d_is_adopted_once(client, mlruns, folder):
    old = aliases.OLD_NAME
    for number in (1, 2):
        log_candidate(client, old, folder, facts(0.7 + number / 100, tags={"name": MODEL}))
    aliases.promote(client, old, 2, "the best")
    for _ in range(2):
        aliases.adopt(client, "others")
        aliases.adopt(client, MODEL)
        (copy,) = aliases.versions(client, MODEL)
        assert aliases.champion(client, MODEL) == int(copy.version) == 1
        assert copy.tags["promotion_reason"] == "it was champion of gan3d, as version 2"
        assert copy.tags["excess"] == client.get_model_version(old, "2").tags["excess"]
    assert aliases.versions(client, "others") == []
    assert log_candidate(client, MODEL, folder, facts(0.72, tags={"name": MODEL})) == 1  # of equal content
    assert model_folder(f"models:/{MODEL}@champion", mlruns) == model_folder(f"models:/{old}/2", mlruns)
