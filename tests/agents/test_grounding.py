from __future__ import annotations

import pytest

from distillery_core.agents.grounding import MOST, grounding, grounding_lift
from distillery_core.agents.scored import ScoredArticle
from distillery_core.types import Article


def _scored(id: str, text: str, reasoning: str | None) -> ScoredArticle:
    scores = {"harm": 1.0}
    return ScoredArticle(Article(id, "", text), "on_topic", "", "scored", scores, reasoning)


def test_a_ratio_of_means_computed_by_hand() -> None:
    scored = [
        # 2 of 4 words in its own text; 1 of 4 in b, 0 of 4 in c: other = 1/8
        _scored("a", "river rises town", "river rises dam quickly"),
        _scored("b", "dam bursts", "dam bursts"),  # own 1, other (0 + 0) / 2
        _scored("c", "sun shines", None),
    ]
    found = grounding(scored)
    assert found[0] is not None and (found[0].own, found[0].other) == (0.5, 0.125)
    assert found[1] is not None and (found[1].own, found[1].other) == (1.0, 0.0)
    assert found[2] is None
    lift = grounding_lift(found)
    assert lift.value == pytest.approx(0.75 / 0.0625)
    assert lift.n == 2


def test_a_prompt_that_sends_no_article_has_a_lift_near_one() -> None:
    texts = [f"flood news number{i} with extra words{i}" for i in range(12)]
    scored = [_scored(str(i), text, "flood news extra") for i, text in enumerate(texts)]
    assert grounding_lift(grounding(scored)).value == pytest.approx(1.0)


def test_words_that_stand_nowhere_give_no_lift() -> None:
    scored = [_scored(str(i), f"text{i}", "invented") for i in range(3)]
    assert grounding_lift(grounding(scored)).value == 0.0


def test_words_that_stand_in_no_other_article_give_the_most() -> None:
    scored = [_scored(str(i), f"text{i}", f"text{i}") for i in range(3)]
    assert grounding_lift(grounding(scored)).value == MOST


def test_the_same_text_under_another_id_is_no_other_article() -> None:
    scored = [_scored("a", "river rises", "river"), _scored("b", "River rises!", "river")]
    assert grounding(scored) == [None, None]


def test_without_explanations_it_does_not_apply() -> None:
    scored = [_scored("a", "river", None), _scored("b", "dam", "")]
    assert not grounding_lift(grounding(scored)).applicable
