"""Plugins: filters, oracle providers and student backends found through entry points.

hookspecs.py what a plugin may implement     manager.py loads plugins one by one, isolating each
builtin.py   core's own providers            (group `distillery`, pluggy project `distillery`)
"""

from __future__ import annotations

import pluggy

hookimpl = pluggy.HookimplMarker("distillery")
"""Marks a plugin's function as the implementation of a hook."""

__all__ = ["hookimpl"]
