"""The schema of a filter's config.yaml, the only source of dimensions, weights, tiers and rules."""

from __future__ import annotations

import itertools
import keyword
import re
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from distillery_core.types import SCORE_MAX, SCORE_MIN

WEIGHT_TOLERANCE = 0.01

Score = Annotated[float, Field(ge=SCORE_MIN, le=SCORE_MAX)]
AnswerFormat = Literal["json_schema", "json_object", "text"]


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of a filter, compiled once."""
    return re.compile(pattern)


def _must_compile(pattern: str) -> str:
    try:
        compiled(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    """Frozen, and every unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PatternList(Strict):
    """Base of the rules that search the text for patterns, with patterns that override them."""

    patterns: tuple[Pattern, ...] = Field(min_length=1)
    unless: tuple[Pattern, ...] = ()

    @field_validator("patterns", "unless")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_must_compile(pattern) for pattern in patterns)

    def matches(self, text: str) -> bool:
        """Whether a pattern is found and no overriding one is."""
        found = any(compiled(pattern).search(text) for pattern in self.patterns)
        return found and not any(compiled(pattern).search(text) for pattern in self.unless)


class Scope(Strict):
    """What the filter is about, in words for the oracle and for people."""

    inside: str = Field(alias="in", min_length=1)
    outside: str = Field(alias="out", min_length=1)


class Example(Strict):
    """A worked example that the prompt may show."""

    text: str = Field(min_length=1)
    scores: dict[str, Score]
    why: str = ""


class About(Strict):
    """Who the filter is."""

    name: str
    version: str
    description: str = ""
    scope: Scope | None = None
    examples: tuple[Example, ...] = ()

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        return _identifier(name)

    @field_validator("version", mode="before")
    @classmethod
    def _version(cls, version: object) -> str:
        text = str(version)
        if not re.fullmatch(r"\d+(\.\d+)*", text):
            raise ValueError(f"{text!r} is not a version such as '1.0'")
        return text


def _identifier(name: str) -> str:
    """Names become JSON keys, column names and file names."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is not a lower-case identifier (a-z, 0-9, _)")
    return name


class OracleChoice(Strict):
    """Which oracle labels for this filter, and how it is asked.

    `aggregate` makes one label of several answers (`--repeats`, `--oracles`). During a long run
    `canary_articles` answered ones are asked again after every `canaries` answers (0: never); the
    run stops where a dimension has drifted by more than `canary_limit` points beyond chance.
    """

    name: str = "gemini-flash"
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_output_tokens: int = Field(default=700, ge=16)
    reasoning: bool = True
    answer_format: AnswerFormat = "json_schema"
    aggregate: Literal["median", "mean"] = "median"
    canaries: int = Field(default=0, ge=0)
    canary_articles: int = Field(default=20, ge=5, le=200)
    canary_limit: float = Field(default=0.5, gt=0, le=SCORE_MAX)


class Dimension(Strict):
    """One thing that is scored 0-10."""

    weight: float = Field(ge=0, le=1)
    description: str = Field(min_length=1)
    scale: dict[str, str] = {}


class Tier(Strict):
    """A named band of the overall score: at or above `at`, below the next higher tier."""

    name: str
    at: Score
    description: str = ""


class Lift(Strict):
    """Lifts a gatekeeper when another dimension is high."""

    dimension: str
    at_least: Score


class Gatekeeper(Strict):
    """If a dimension is below a value, the overall score is capped."""

    dimension: str
    below: Score
    overall_at_most: Score
    unless: tuple[Lift, ...] = ()
    reason: str = ""


class Cap(PatternList):
    """If a pattern matches the text, the overall score is capped."""

    name: str
    overall_at_most: Score
    reason: str = ""


class Penalty(PatternList):
    """If a pattern matches the text, the overall score loses something."""

    name: str
    subtract: float = Field(gt=0, le=SCORE_MAX)
    reason: str = ""


class Scoring(Strict):
    """Dimensions, tiers and the rules between scores and the overall score."""

    dimensions: dict[str, Dimension] = Field(min_length=1)
    tiers: tuple[Tier, ...] = Field(min_length=1)
    gatekeepers: tuple[Gatekeeper, ...] = ()
    caps: tuple[Cap, ...] = ()
    penalties: tuple[Penalty, ...] = ()

    @field_validator("dimensions")
    @classmethod
    def _weights(cls, dimensions: dict[str, Dimension]) -> dict[str, Dimension]:
        problems = [name for name in dimensions if not _is_identifier(name)]
        if problems:
            raise ValueError(f"not lower-case identifiers: {', '.join(map(repr, problems))}")
        if "reasoning" in dimensions:
            raise ValueError("'reasoning' is the answer's own key and cannot be a dimension")
        total = sum(dimension.weight for dimension in dimensions.values())
        if abs(total - 1.0) > WEIGHT_TOLERANCE:
            raise ValueError(f"the weights sum to {total:.4g}, they must sum to 1")
        return dimensions

    @field_validator("tiers")
    @classmethod
    def _order(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        cuts = [tier.at for tier in tiers]
        if any(high <= low for high, low in itertools.pairwise(cuts)):
            listed = ", ".join(f"{tier.name} at {tier.at:g}" for tier in tiers)
            raise ValueError(f"tiers go from the highest to the lowest cut, not: {listed}")
        if cuts[-1] != SCORE_MIN:
            raise ValueError(f"the lowest tier starts at 0, not at {cuts[-1]:g}")
        if len({tier.name for tier in tiers}) < len(tiers):
            raise ValueError("two tiers have the same name")
        return tiers

    @model_validator(mode="after")
    def _references(self) -> Scoring:
        named = {rule.dimension for rule in self.gatekeepers}
        named |= {other.dimension for rule in self.gatekeepers for other in rule.unless}
        unknown = sorted(named - set(self.dimensions))
        if unknown:
            raise ValueError(f"gatekeepers name unknown dimensions: {', '.join(unknown)}")
        return self


def _is_identifier(name: str) -> bool:
    try:
        return bool(_identifier(name))
    except ValueError:
        return False


class TextConfig(Strict):
    """Which part of an article everybody reads: oracle, trainer and scorer."""

    max_chars: int = Field(default=8000, ge=200)
    head_share: float = Field(default=0.75, gt=0, le=1)


class ClassRule(Strict):
    """How the sampler recognises a class from words alone."""

    keywords: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()

    @field_validator("patterns", "exclude")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_must_compile(pattern) for pattern in patterns)


class SeedSentences(Strict):
    """Sentences whose nearness to an article tells its class, for a filter without keywords.

    An article is on topic from cosine `on_topic_at` to an on-topic sentence, edge from `edge_at` to
    any sentence (cosines after the corpus's mean vector is taken away). With five sentences and
    all-MiniLM-L6-v2, 48 of the 57 articles at 0.25 or more of the recorded crisis corpus are on
    topic and 2 off topic. `model` is a base model as in `training.model_name`; without one the
    filter's own trained student embeds, and where there is none the keyword rules decide. At most
    `pool` articles of the corpus are embedded.
    """

    on_topic: tuple[str, ...] = Field(min_length=1)
    edge: tuple[str, ...] = ()
    model: str | None = None
    on_topic_at: float = Field(default=0.25, gt=-1, le=1)
    edge_at: float = Field(default=0.12, gt=-1, le=1)
    pool: int = Field(default=2000, ge=100)

    @model_validator(mode="after")
    def _cuts(self) -> SeedSentences:
        if self.edge_at > self.on_topic_at:
            raise ValueError("edge_at lies above on_topic_at: an edge article is less alike")
        return self


class Sampling(Strict):
    """Classes for the stratified sample; off-topic is what neither rule finds.

    `classes_file` is a JSONL of {id, class, reason}, reviewed by people or by a model that did not
    see the scores; it is preferred to the rules. `has_edge` is false for a filter without an edge.
    """

    on_topic: ClassRule = ClassRule()
    edge: ClassRule = ClassRule()
    classes_file: str | None = None
    seed_sentences: SeedSentences | None = None
    has_edge: bool = True


class CriterionOverride(Strict):
    """A filter's own limit for a line of a verdict table, with the reason it is printed with."""

    ok: str | None = None
    fail: str | None = None
    reason: str = Field(min_length=1)


class Calibration(Strict):
    """Cuts and sample sizes of the calibration rounds (fixed before the first round)."""

    on_topic_at: Score = 5.0
    severe_at: Score = 7.0
    n_positive: int = Field(default=40, ge=1)
    n_negative: int = Field(default=40, ge=1)
    n_edge: int = Field(default=20, ge=0)
    random_seed: int = 2024
    validation_seed: int = 2025
    criteria: dict[str, CriterionOverride] = {}

    @model_validator(mode="after")
    def _cuts(self) -> Calibration:
        if self.severe_at < self.on_topic_at:
            raise ValueError("severe_at lies below on_topic_at")
        if self.random_seed == self.validation_seed:
            raise ValueError("random_seed and validation_seed are equal: a fresh sample differs")
        return self


class Training(Strict):
    """Defaults of `distillery train` for this filter; the command line wins.

    `best_by` chooses the epoch that is kept (auto: spearman for needle filters, else mae);
    `high_score_weight` is the weight in the loss of articles from the lowest tier of interest up;
    `pooling` is what the head of a BERT base reads (auto: what the base was pretrained for);
    `head_init` is how the head begins (ridge: fitted to the base before the first step);
    `dropout: null` keeps the base's own; `r_drop` is the weight in the loss of how far an article's
    scores lie apart under two draws of it.
    """

    backend: str = "transformers"
    model_name: str = "Qwen/Qwen2.5-7B"
    max_length: int = Field(default=512, ge=16)
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=2e-5, gt=0)
    warmup_steps: int = Field(default=500, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0)
    seed: int = Field(default=42, ge=0)
    method: Literal["auto", "full", "lora", "qlora", "frozen"] = "auto"
    accumulation: int = Field(default=1, ge=1)
    schedule: Literal["linear", "cosine"] = "linear"
    patience: int | None = Field(default=None, ge=1)
    pooling: Literal["auto", "first", "mean"] = "auto"
    head_init: Literal["means", "ridge"] = "means"
    dropout: float | None = Field(default=0.0, ge=0, lt=1)
    r_drop: float = Field(default=0.0, ge=0)
    best_by: Literal["auto", "mae", "spearman", "recall"] = "auto"
    high_score_weight: float = Field(default=1.0, gt=0)


class Deployment(Strict):
    """What a model of this filter is judged and used for.

    `kind` is "auto" (needle when fewer than 10 % of the labels reach the lowest tier of interest),
    or says so outright with a reason. `lowest_tier_of_interest` defaults to the second lowest tier.
    """

    kind: Literal["auto", "general", "needle"] = "auto"
    kind_reason: str = ""
    lowest_tier_of_interest: str | None = None
    criteria: dict[str, CriterionOverride] = {}

    @model_validator(mode="after")
    def _reason(self) -> Deployment:
        if self.kind != "auto" and not self.kind_reason.strip():
            raise ValueError(f"kind: {self.kind} needs a kind_reason, which the report prints")
        return self


class Reports(Strict):
    """What reports of this filter may show of an article's text, which may be under copyright.

    `excerpt_chars` characters from its beginning; 0 for none.
    """

    excerpt_chars: int = Field(default=200, ge=0)


class Publishing(Strict):
    """Under which licence models of this filter are published, by its name on the model hub.

    There is no default: nobody but the owner of the labels knows. `other` needs a name and a link.
    """

    license: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]*$")
    license_name: str = ""
    license_link: str = ""


class FilterConfig(Strict):
    """The whole of config.yaml."""

    filter: About
    oracle: OracleChoice = OracleChoice()
    scoring: Scoring
    text: TextConfig = TextConfig()
    sampling: Sampling = Sampling()
    calibration: Calibration = Calibration()
    training: Training = Training()
    deployment: Deployment = Deployment()
    reports: Reports = Reports()
    publish: Publishing = Publishing()

    @model_validator(mode="after")
    def _names(self) -> FilterConfig:
        tiers = [tier.name for tier in self.scoring.tiers]
        wanted = self.deployment.lowest_tier_of_interest
        if wanted is not None and wanted not in tiers:
            raise ValueError(f"lowest_tier_of_interest {wanted!r} is no tier ({', '.join(tiers)})")
        for example in self.filter.examples:
            unknown = sorted(set(example.scores) - set(self.scoring.dimensions))
            if unknown:
                raise ValueError(f"an example scores unknown dimensions: {', '.join(unknown)}")
        return self
