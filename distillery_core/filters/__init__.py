"""Filters: what is asked about every text, declared in a folder of data.

config.py        the schema of config.yaml          prefilter.py        form and source rules
filter.py        the Filter object and its hashes   prompt_template.py  renders the prompt
text_view.py     which part of a text is read       answers.py          what an oracle must answer
score_rules.py   overall score and tier             discovery.py        finds filters
package_check.py is a filter ready to be used?      cases.py            behaviour cases (cases.yaml)
"""

from __future__ import annotations

from distillery_core.filters.discovery import FilterEntry, list_filters, resolve_filter
from distillery_core.filters.filter import Filter, load_filter

__all__ = ["Filter", "FilterEntry", "list_filters", "load_filter", "resolve_filter"]
