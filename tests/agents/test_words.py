from __future__ import annotations

from distillery_core.agents.words import content_words


def test_stop_words_of_several_languages_are_left_out() -> None:
    assert content_words("The flood and its damage") == {"flood", "damage"}
    assert content_words("Das Hochwasser und der Schaden") == {"hochwasser", "schaden"}
    assert content_words("les dégâts de la crue") == {"dégâts", "crue"}
    assert content_words("los daños de la riada") == {"daños", "riada"}


def test_words_are_folded_and_counted_once() -> None:
    assert content_words("Flood, FLOOD; ﬂood 500!") == {"flood", "500"}


def test_scripts_without_spaces_count_by_trigrams() -> None:
    assert content_words("洪水袭击") == {"洪水袭", "水袭击"}
    assert content_words("洪水") == {"洪水"}
    assert content_words("น้ำท่วม") == content_words("น้ำท่วม")


def test_nothing_is_nothing() -> None:
    assert content_words("") == content_words("... --- !!!") == frozenset()
