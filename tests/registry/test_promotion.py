"""Who becomes champion, in a real registry: every rule, and what is recorded."""

import pytest
from candidates import MODEL
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities.model_registry import ModelVersion

from gan3d.registry import aliases
from gan3d.registry.promotion import CHAMPION, decide, promote

TAGS = {"resolution": "16", "classes": '["chair", "table"]', "test_split": "aaaa", "protocol": "100 shapes"}


def no_rescoring(version: int) -> float | None:
    raise AssertionError(f"version {version} must not be scored again")


@pytest.fixture
def register(client):
    """Makes versions as `log_candidate` tags them, without a model behind them."""
    client.create_registered_model(MODEL)

    def make(score: float | None, **tags) -> int:
        scored = {} if score is None else {"excess": repr(score)}
        return int(client.create_model_version(MODEL, "file:///nowhere", tags=TAGS | scored | tags).version)

    return make


def champion(client) -> int | None:
    number = client.get_registered_model(MODEL).aliases.get(CHAMPION)
    return None if number is None else int(number)


def tags(client, number: int) -> tuple[str | None, str | None]:
    found = client.get_model_version(MODEL, str(number)).tags
    return found.get("promotion"), found.get("promotion_reason")


def test_the_first_version_becomes_champion(client, register):
    decision = promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    assert decision.promoted
    assert (decision.candidate, decision.champion) == (0.9, None)
    assert champion(client) == 1
    assert tags(client, 1) == ("promoted", "the first champion, at an excess of 0.900")


def test_the_first_version_needs_no_score(client, register):
    assert promote(client, MODEL, register(None), 0.01, no_rescoring).promoted
    assert champion(client) == 1
    assert "without a score" in tags(client, 1)[1]


def test_a_better_version_replaces_the_champion_and_both_say_why(client, register):
    promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    decision = promote(client, MODEL, register(0.8), 0.01, no_rescoring)
    assert (decision.promoted, decision.candidate, decision.champion) == (True, 0.8, 0.9)
    assert champion(client) == 2
    assert tags(client, 2) == ("promoted", "excess 0.800 beats the 0.900 of version 1 by the margin of 0.01")
    assert tags(client, 1)[0] == "replaced"
    assert tags(client, 1)[1].startswith("by version 2: excess 0.800 beats")


@pytest.mark.parametrize("score", [0.9, 0.895, 0.95])
def test_without_the_margin_the_champion_stays(client, register, score):
    promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    before = tags(client, 1)
    decision = promote(client, MODEL, register(score), 0.01, no_rescoring)
    assert not decision.promoted
    assert champion(client) == 1
    assert tags(client, 2)[0] == "not promoted"
    assert "does not beat the 0.900 of version 1" in tags(client, 2)[1]
    assert tags(client, 1) == before


def test_the_champion_itself_changes_nothing(client, register):
    promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    before = tags(client, 1)
    decision = promote(client, MODEL, 1, 0.01, no_rescoring)
    assert not decision.promoted
    assert decision.reason == "version 1 is the champion already"
    assert (champion(client), tags(client, 1)) == (1, before)


def test_a_candidate_without_score_does_not_replace(client, register):
    promote(client, MODEL, register(None), 0.01, no_rescoring)
    decision = promote(client, MODEL, register(None), 0.01, no_rescoring)
    assert not decision.promoted
    assert "no score to compare" in decision.reason
    assert champion(client) == 1


@pytest.mark.parametrize("changed", [{"test_split": "bbbb"}, {"protocol": "50 shapes"}])
@pytest.mark.parametrize(("present", "promoted"), [(0.85, True), (0.75, False)])
def test_on_another_test_split_the_champion_is_scored_again(client, register, changed, present, promoted):
    promote(client, MODEL, register(0.6), 0.01, no_rescoring)
    asked = []
    decision = promote(client, MODEL, register(0.8, **changed), 0.01, lambda version: asked.append(version) or present)
    assert asked == [1]
    assert (decision.promoted, decision.champion) == (promoted, present)
    assert champion(client) == (2 if promoted else 1)
    assert f"the {present:.3f} of version 1, scored again on the present test split" in tags(client, 2)[1]


def test_a_champion_without_score_is_scored_only_on_another_test_split(client, register):
    promote(client, MODEL, register(None), 0.01, no_rescoring)
    decision = promote(client, MODEL, register(0.8), 0.01, no_rescoring)
    assert decision.promoted
    assert "version 1 cannot be scored" in decision.reason


def test_a_champion_that_cannot_be_scored_is_replaced(client, register):
    promote(client, MODEL, register(0.6), 0.01, no_rescoring)
    decision = promote(client, MODEL, register(0.8, test_split="bbbb"), 0.01, lambda version: None)
    assert (decision.promoted, decision.champion) == (True, None)
    assert champion(client) == 2
    assert tags(client, 2)[1] == "excess 0.800; version 1 cannot be scored on the present test split"


def test_a_version_that_a_person_has_replaced_does_not_return_by_its_score(client, register):
    promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    promote(client, MODEL, register(0.7), 0.01, no_rescoring)
    aliases.rollback(client, MODEL, "its seats have holes")
    for _ in range(2):
        decision = promote(client, MODEL, 2, 0.01, no_rescoring)
        assert not decision.promoted
        assert decision.reason == "it was rolled back to version 1: its seats have holes; promote it by hand"
        assert (champion(client), tags(client, 2)[0]) == (1, "rolled back")
    aliases.promote(client, MODEL, 2, "fixed")
    aliases.promote(client, MODEL, 1, "no, it was not")
    assert not promote(client, MODEL, 2, 0.01, no_rescoring).promoted
    assert promote(client, MODEL, register(0.6), 0.01, no_rescoring).promoted


def test_if_the_champion_changes_while_it_is_scored_the_new_one_is_compared(client, register):
    promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    best, candidate = register(0.5, test_split="bbbb"), register(0.7, test_split="bbbb")

    def meanwhile(version: int) -> float:
        aliases.promote(client, MODEL, best, "by hand")
        return 0.9

    decision = promote(client, MODEL, candidate, 0.01, meanwhile)
    assert (decision.promoted, decision.champion) == (False, 0.5)
    assert champion(client) == best
    assert aliases.former(client, MODEL) == [1]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"resolution": "32"}, "resolution 32³ here, resolution 16³ in version 1"),
        ({"classes": '["chair"]'}, "classes chair here, classes chair, table in version 1"),
    ],
)
def test_a_champion_with_other_classes_or_resolution_stays(client, register, changed, words):
    promote(client, MODEL, register(0.9), 0.01, no_rescoring)
    decision = promote(client, MODEL, register(0.6, test_split="bbbb", **changed), 0.01, no_rescoring)
    assert not decision.promoted
    assert words in decision.reason
    assert champion(client) == 1
    assert tags(client, 2) == ("not promoted", decision.reason)


def test_a_deleted_champion_leaves_no_champion(client, register):
    promote(client, MODEL, register(0.6), 0.01, no_rescoring)
    client.delete_model_version(MODEL, "1")
    assert promote(client, MODEL, register(0.9), 0.01, no_rescoring).promoted
    assert champion(client) == 2


def version(number: int, score: float) -> ModelVersion:
    found = ModelVersion("gan3d", str(number), 0)
    found._tags = TAGS | {"excess": repr(score)}
    return found


scores = st.floats(0, 1)


@given(scores, scores, st.floats(0, 0.5))
def test_two_models_never_replace_each_other_alternately(a, b, margin):
    forth = decide(version(2, a), version(1, b), margin, no_rescoring)
    back = decide(version(1, b), version(2, a), margin, no_rescoring)
    assert not (forth.promoted and back.promoted)
    if a < b - margin:
        assert forth.promoted
    if a >= b:
        assert not forth.promoted


def test_the_reason_has_the_intervals_of_both(client, register):
    promote(client, MODEL, register(0.9, excess_se="0.05"), 0.01, no_rescoring)
    reason = promote(client, MODEL, register(0.8, excess_se="0.02"), 0.01, no_rescoring).reason
    assert reason == "excess 0.800 ± 0.039 beats the 0.900 ± 0.098 of version 1 by the margin of 0.01"


def test_the_margin_itself_is_enough():
    assert decide(version(2, 0.65), version(1, 0.7), 0.05, no_rescoring).promoted
