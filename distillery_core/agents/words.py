"""Content words of a text: what an explanation and its article can have in common.

Runs of letters and digits, case folded, without stop words; scripts written without spaces
(Chinese, Japanese, Thai ...) count as character trigrams.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from distillery_core.dataset.shingles import UNSPACED

_TOKEN = re.compile(rf"(?P<unspaced>[{UNSPACED}]+)|(?P<word>[^\W_{UNSPACED}]+)")
_TRIGRAM = 3

# The commonest function words of four more languages; sklearn's list covers English.
_FURTHER_STOP_WORDS = """
aber alle als also am an auch auf aus bei bin bis das dass dem den der des die dies diese dieser
doch durch ein eine einem einen einer eines er es für haben hat hatte ich ihr im in ist ja kann
mehr mit nach nicht noch nur oder ohne sehr sein seine sich sie sind so über um und uns unter vom
von vor war waren was wenn werden wie wir wird wurde wurden zu zum zur zwischen
au aux avec ce ces cette dans de des du elle en est et été être eu il ils je la le les leur leurs
lui mais même ne nos notre nous on ont ou où par pas plus pour qu que qui sa sans se ses son sont
sur tout très un une vous était
al algo ante como con contra cual cuando del desde donde dos el ella ellos entre era esta estas este
esto fue ha hay la las lo los más me mi muy no nos o otra otro para pero poco por porque que quien
se ser si sin sobre son su sus también te tiene todo un una unos y ya
"""


def content_words(text: str) -> frozenset[str]:
    """The distinct content words of a text."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found: set[str] = set()
    for match in _TOKEN.finditer(folded):
        if match["unspaced"]:
            found.update(_trigrams(match["unspaced"]))
        elif _counts(match["word"]):
            found.add(match["word"])
    return frozenset(found)


def _counts(word: str) -> bool:
    return (len(word) > 1 or word.isdigit()) and word not in stop_words()


def _trigrams(run: str) -> set[str]:
    last = max(len(run) - _TRIGRAM + 1, 1)
    return {run[start : start + _TRIGRAM] for start in range(last)}


@cache
def stop_words() -> frozenset[str]:
    """English (scikit-learn's list), German, French and Spanish function words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | frozenset(_FURTHER_STOP_WORDS.split())
