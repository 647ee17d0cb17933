"""The fence around untrusted article text: how it is written, read back, and kept unbreakable.

A prompt carries each article as one block that nothing inside the article can close or imitate:

    <article>
    Title: Bushfire forces evacuation

    The content ...
    </article>

Everything outside the block is the prompt; its hash is the prompt's identity. Prompt rendering and
the server that replays recorded answers both read the block through this module.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from distillery_core.files import sha256_json, sha256_text

FENCE_OPEN = "<article>"
FENCE_CLOSE = "</article>"

_PLACEHOLDER = f"{FENCE_OPEN}{FENCE_CLOSE}"
_BLOCK = re.compile(
    rf"{FENCE_OPEN}\nTitle: (?P<title>[^\n]*)\n\n(?P<content>.*?)\n{FENCE_CLOSE}", re.DOTALL
)

# Only punctuation is exchanged, so that a text keeps its letters and with them its identity.
_HARMLESS = {"<": "‹", ">": "›", "[": "⁅", "]": "⁆", "|": "¦", "#": "♯", ":": "∶"}

# Characters that look like one of ours but are not folded to it by NFKC: brackets and slashes of
# other blocks, and the Cyrillic and Greek letters that occur in the marker words.
_LOOK_ALIKE = str.maketrans(
    {
        **dict.fromkeys("〈⟨❮", "<"),
        **dict.fromkeys("〉⟩❯", ">"),
        **dict.fromkeys("∕⁄⧸", "/"),
        **dict.fromkeys("ǀ∣❘", "|"),
        **dict(zip("аеіорсуѕт", "aeiopcyst", strict=True)),  # Cyrillic
        **dict(zip("αειορτν", "aeioptv", strict=True)),  # Greek
    }
)
_OPENING = re.compile(r"[<＜﹤〈〈⟨❮\[［#＃﹟]")

_WORDS = r"article|system|user|assistant|human|developer|instructions?|think|tool_(?:call|response)"
_MARKERS = re.compile(
    rf"<\s*/?\s*(?:{_WORDS})\b[^<>]{{0,200}}>?"
    r"|<\s*/?\s*(?:start|end)_of_turn\s*>"
    r"|<{1,2}\s*/?\s*s(?:ys)?\s*>{1,2}"
    r"|<\s*\|[^<>|]{1,64}\|\s*>"
    r"|\[\s*/?\s*(?:inst|system_prompt|available_tools)\s*\]"
    r"|\#{2,}(?=\s*(?:system|user|assistant|human|instructions?|response)\b)"
)
_ROLE_LABEL = re.compile(
    r"(?im)^(\s*(?:human|assistant|system)\s*)[:：]"  # a turn of a chat written as plain text
)


def neutralise(text: str) -> str:
    """Take the power from fence-like and chat-like markers; letters and digits stay as they are.

    Markers are found behind look-alike characters and zero-width splits too. The exchanged
    characters remain readable (`</article>` becomes `‹/article›`). Idempotent.
    """
    sound = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be sent
    sound = _ROLE_LABEL.sub(lambda match: match.group(1) + _HARMLESS[":"], sound)
    return _without_markers(sound) if _OPENING.search(sound) else sound


def _without_markers(text: str) -> str:
    skeleton, positions = _skeleton(text)
    characters = list(text)
    for match in _MARKERS.finditer(skeleton):
        for index in range(match.start(), match.end()):
            harmless = _HARMLESS.get(skeleton[index])
            if harmless and skeleton[index] != ":":
                characters[positions[index]] = harmless
    return "".join(characters)


def _skeleton(text: str) -> tuple[str, list[int]]:
    """What the text looks like to a reader, and where in it each character stands."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    pairs = [(seen, at) for at, character in enumerate(text) for seen in _seen(character)]
    return "".join(seen for seen, _ in pairs), [at for _, at in pairs]


@lru_cache(maxsize=4096)
def _seen(character: str) -> str:
    if character.isascii():
        return character.lower()
    if unicodedata.category(character) in {"Cf", "Mn", "Me"}:
        return ""  # zero-width characters and combining marks split a word without showing
    return unicodedata.normalize("NFKC", character).casefold().translate(_LOOK_ALIKE)


def fence(title: str, content: str) -> str:
    """The fenced block of one article, both parts neutralised, the title on one line."""
    head = " ".join(neutralise(title).split())
    return f"{FENCE_OPEN}\nTitle: {head}\n\n{neutralise(content)}\n{FENCE_CLOSE}"


def fence_content(user: str) -> tuple[str, str]:
    """Title and content of the (last) fenced block of a message.

    Raises:
        ValueError: there is no fenced block.
    """
    blocks = list(_BLOCK.finditer(user))
    if not blocks:
        raise ValueError("the message holds no fenced article")
    return blocks[-1]["title"], blocks[-1]["content"]


def prompt_hash_of_messages(system: str, user: str) -> str:
    """Hash of a prompt whatever article it carries: each fenced block counts as a placeholder."""
    return sha256_json({"system": system, "user": _BLOCK.sub(_PLACEHOLDER, user)})


def normalised_key(text: str) -> str:
    """Identity of a text: hash of its letters and digits, case and compatibility forms folded.

    A text without any (only emoji, say) is identified by its folded characters.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(character for character in folded if character.isalnum())
    return sha256_text(letters or folded.strip())
