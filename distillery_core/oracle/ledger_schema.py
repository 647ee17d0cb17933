"""The ledger's tables.

runs      who asked, when, and why it stopped
items     one question (text, prompt, model, parameters) and how it ended
attempts  every call, written before it is made; never deleted
totals    money per filter, kept in step with attempts in the same transaction, so that a budget is
          checked in constant time and across processes
"""

from __future__ import annotations

VERSION = 1

SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    filter TEXT NOT NULL,
    oracle TEXT NOT NULL,
    purpose TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    ended TEXT
);
CREATE TABLE items (
    key TEXT PRIMARY KEY,
    filter TEXT NOT NULL,
    purpose TEXT NOT NULL,
    oracle TEXT NOT NULL,
    article_id TEXT NOT NULL,
    article_sha256 TEXT NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    parameters_sha256 TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'done', 'rejected', 'failed', 'skipped')),
    answer TEXT,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    forgiven_to INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX items_by_filter ON items (filter, purpose, state);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    item_key TEXT NOT NULL REFERENCES items (key),
    run_id INTEGER NOT NULL REFERENCES runs (id),
    filter TEXT NOT NULL,
    paid INTEGER NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('ask', 'longer', 'repair')),
    state TEXT NOT NULL CHECK (state IN ('in_flight', 'answered', 'failed', 'interrupted')),
    answer_format TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    reserved_nano INTEGER NOT NULL,
    held_nano INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER,
    cached_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    finish_reason TEXT,
    latency_s REAL,
    model TEXT,
    fingerprint TEXT,
    raw_answer TEXT,
    failure_kind TEXT,
    failure_status INTEGER,
    failure_message TEXT
);
CREATE INDEX attempts_by_item ON attempts (item_key, id);
CREATE INDEX attempts_in_flight ON attempts (filter) WHERE state = 'in_flight';
CREATE INDEX attempts_by_filter ON attempts (filter, run_id);
CREATE TABLE totals (
    filter TEXT NOT NULL,
    paid INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    held_nano INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (filter, paid)
) WITHOUT ROWID;
"""
