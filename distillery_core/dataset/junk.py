"""Is this text an article at all? A few rules about form, none about topic.

They keep cookie walls, navigation and stuttering out of samples. They are meant to let a doubtful
text through: a wrong rejection here is seen by nobody.
"""

from __future__ import annotations

import re
import zlib

from distillery_core.dataset.shingles import UNSPACED
from distillery_core.types import Article

MIN_CHARS = 100
UNSPACED_WEIGHT = 3
"""A character of a script without spaces counts for three: a Chinese news text has about a third of
the characters of its English translation."""

MIN_LETTER_SHARE = 0.5
MAX_WALL_CHARS = 1500
"""A wall is short; a long article may well speak of cookies."""

MIN_COMPRESSED_SHARE = 0.12
"""Prose in any script compresses to 0.25-0.6 of its bytes, one line repeated to below 0.05."""

_REPETITION_FROM = 400
_LOOK_AT = 20_000
_UNSPACED = re.compile(f"[{UNSPACED}]")
_WALL = re.compile(
    r"(?i)(?:enable|activate|turn on) (?:javascript|cookies)"
    r"|javascript (?:is|must be|needs to be) (?:disabled|enabled)"
    r"|(?:accept|we use|uses) (?:all |our |the use of )?cookies"
    r"|(?:verify|verifying|checking) (?:that )?you(?:r browser| are (?:a )?human| are not a robot)"
    r"|(?:subscribe|sign in|log in|register) (?:now )?to (?:continue|keep) reading"
    r"|this content is (?:only )?(?:available|for) (?:to )?subscribers"
    r"|access (?:to this page has been )?denied|(?:403 forbidden|404 not found)"
    r"|(?:wir verwenden|akzeptieren sie|alle) cookies|bitte (?:aktivieren sie )?javascript"
    r"|(?:nous utilisons|accepter) (?:des |les |tous les )?cookies|abonnez-vous pour lire"
    r"|(?:utilizamos|usamos|aceptar) (?:las |todas las |os )?cookies|wij gebruiken cookies"
    r"|cookie(?:を使用|の使用|设置|政策)|请(?:启用|开启) ?javascript"
)


def junk_reason(article: Article) -> str | None:
    """Why the text is no article, or None: too short, no prose, repeated, a wall."""
    text = article.content.strip()
    return _too_short(text) or _no_prose(text) or _repeated(text) or _wall(text)


def _too_short(text: str) -> str | None:
    if len(text) >= MIN_CHARS:
        return None
    weight = len(text) + (UNSPACED_WEIGHT - 1) * len(_UNSPACED.findall(text))
    return None if weight >= MIN_CHARS else "too short"


def _no_prose(text: str) -> str | None:
    visible = "".join(text[:_LOOK_AT].split())
    # Vowel signs and tone marks of Indic and Thai script are no letters of their own.
    letters = sum(map(str.isalpha, visible)) + sum(not c.isascii() for c in visible) // 2
    return None if letters >= MIN_LETTER_SHARE * len(visible) else "mostly not letters"


def _repeated(text: str) -> str | None:
    data = text[:_LOOK_AT].encode("utf-8", "replace")
    if len(data) < _REPETITION_FROM:
        return "repeated characters" if len(set(text)) < 8 else None
    share = len(zlib.compress(data, 1)) / len(data)
    return "repeated text" if share < MIN_COMPRESSED_SHARE else None


def _wall(text: str) -> str | None:
    if len(text) > MAX_WALL_CHARS:
        return None
    return "cookie, login or script wall" if _WALL.search(text) else None
