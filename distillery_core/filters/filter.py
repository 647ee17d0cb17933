"""The Filter: one frozen object built from a filter's folder; all else is derived from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from distillery_core.errors import UserError, UserErrors
from distillery_core.files import sha256_json, sha256_tree
from distillery_core.filters.config import FilterConfig
from distillery_core.filters.prefilter import Prefilter, load_prefilter
from distillery_core.filters.prompt_template import check_template, prompt_sha256
from distillery_core.filters.text_view import VIEW_RULE
from distillery_core.yaml_source import load_model

Loaded = TypeVar("Loaded")

CONFIG = "config.yaml"
PROMPT = "prompt.md.j2"
PREFILTER = "prefilter.yaml"
DEFINITION = (CONFIG, PROMPT, PREFILTER)
"""The files that define a filter; whatever stages write beside them is not part of its digest."""


class Filter(BaseModel):
    """A filter as loaded: who it is, where it lies, its configuration, prompt and pre-filter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    folder: Path
    origin: str
    config: FilterConfig
    prompt_template: str
    prefilter: Prefilter

    @property
    def label(self) -> str:
        """`crisis:v1`, as typed on the command line."""
        return f"{self.name}:v{self.version}"

    @property
    def slug(self) -> str:
        """`crisis_v1`, as used in file names."""
        return f"{self.name}_v{self.version}"

    @property
    def analysis_key(self) -> str:
        """The key of a labelled row that holds this filter's analysis."""
        return f"{self.name}_analysis"

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """Names in config order, which is the order of every label vector."""
        return tuple(self.config.scoring.dimensions)

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """One weight a dimension, same order, summing to 1."""
        return tuple(d.weight for d in self.config.scoring.dimensions.values())

    @cached_property
    def prompt_sha256(self) -> str:
        """Hash of everything the oracle is told except the article itself."""
        return prompt_sha256(self.prompt_template, self.config)

    @cached_property
    def text_view_sha256(self) -> str:
        """Hash of what decides which characters of an article are read."""
        return sha256_json({"rule": VIEW_RULE, **self.config.text.model_dump()})

    @cached_property
    def dimensions_sha256(self) -> str:
        """Hash of the dimension names in order."""
        return sha256_json(list(self.dimensions))

    @cached_property
    def scoring_sha256(self) -> str:
        """Hash of what turns stored answers into a verdict: weights, tiers, rules, cuts, kind."""
        config = self.config
        return sha256_json(
            {
                "scoring": config.scoring.model_dump(mode="json"),
                "cuts": [config.calibration.on_topic_at, config.calibration.severe_at],
                "kind": config.deployment.kind,
                "tier": config.deployment.lowest_tier_of_interest,
            }
        )

    @cached_property
    def digest(self) -> str:
        """Hash of the defining files' bytes."""
        return sha256_tree(self.folder, DEFINITION)

    @property
    def operating_point(self) -> float:
        """Overall score from which an article is of interest (the lowest tier of interest)."""
        tiers = self.config.scoring.tiers
        wanted = self.config.deployment.lowest_tier_of_interest
        if wanted is None:
            return tiers[max(len(tiers) - 2, 0)].at
        return next(tier.at for tier in tiers if tier.name == wanted)


def load_filter(folder: Path, origin: str = "project") -> Filter:
    """Load and check a filter folder such as `filters/crisis/v1`.

    Raises:
        UserErrors: every mistake of all its files at once, with file and line.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(f"is not a filter: it has no {CONFIG}", where=folder)
    errors: list[UserError] = []
    config = _collect(errors, lambda: load_model(folder / CONFIG, FilterConfig))
    prefilter = _collect(errors, lambda: load_prefilter(folder / PREFILTER))
    template = _collect(errors, lambda: _read_template(folder / PROMPT))
    if config is not None and template is not None:
        _collect(errors, lambda: check_template(template, config, folder / PROMPT))
    if config is not None:
        _collect(errors, lambda: _check_place(folder, config))
    if errors or config is None or prefilter is None or template is None:
        raise UserErrors(errors)
    return Filter(
        name=config.filter.name,
        version=int(config.filter.version.split(".")[0]),
        folder=folder,
        origin=origin,
        config=config,
        prompt_template=template,
        prefilter=prefilter,
    )


def _collect(errors: list[UserError], load: Callable[[], Loaded]) -> Loaded | None:
    """Run one check, keep its mistakes and go on with the next."""
    try:
        return load()
    except UserErrors as several:
        errors.extend(several.errors)
    except UserError as error:
        errors.append(error)
    return None


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("no such file: a filter needs its prompt", where=path) from None
    except UnicodeDecodeError:
        raise UserError("not UTF-8", where=path) from None


def _check_place(folder: Path, config: FilterConfig) -> None:
    """A folder `<name>/v<N>` must hold the filter it says it holds."""
    match = re.fullmatch(r"v(\d+)", folder.resolve().name)
    if match is None:
        return
    version = config.filter.version.split(".")[0]
    if match[1] != version:
        raise UserError(
            f"filter.version is {config.filter.version}, its folder says v{match[1]}",
            where=folder / CONFIG,
        )
    if folder.resolve().parent.name != config.filter.name:
        raise UserError(
            f"filter.name is {config.filter.name!r}, its folder says "
            f"{folder.resolve().parent.name!r}",
            where=folder / CONFIG,
        )
