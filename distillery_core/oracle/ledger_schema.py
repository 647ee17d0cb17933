"""The ledger's tables.

runs      who asked, when, and why it stopped
items     one question (text, prompt, model, parameters) and how it ended
attempts  every call, written before it is made; never deleted
totals    money per filter, kept in step with attempts in the same transaction, so that a budget is
          checked in constant time and across processes
answered_by  the models and fingerprints that a prompt's answers came with
batches   provider batches and how far each one got; batch_requests names the attempts in them
"""

from __future__ import annotations

VERSION = 4

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

BATCH_TABLES = """
CREATE TABLE batches (
    key TEXT PRIMARY KEY,
    filter TEXT NOT NULL,
    run_id INTEGER NOT NULL REFERENCES runs (id),
    oracle TEXT NOT NULL,
    identity TEXT NOT NULL,
    requests INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('written', 'uploaded', 'created', 'ended')),
    input_file_id TEXT,
    batch_id TEXT,
    status TEXT,
    reason TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX batches_under_way ON batches (filter) WHERE state != 'ended';
CREATE TABLE batch_requests (
    attempt_id INTEGER PRIMARY KEY REFERENCES attempts (id),
    batch_key TEXT NOT NULL REFERENCES batches (key)
);
CREATE INDEX batch_requests_by_batch ON batch_requests (batch_key)
"""

OCCASION_COLUMN = "ALTER TABLE items ADD COLUMN occasion TEXT NOT NULL DEFAULT ''"

ANSWERED_BY_TABLE = """
CREATE TABLE answered_by (
    prompt_sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    parameters_sha256 TEXT NOT NULL,
    answered_model TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    first_at TEXT NOT NULL,
    PRIMARY KEY (prompt_sha256, model, parameters_sha256, answered_model, fingerprint)
) WITHOUT ROWID;
INSERT INTO answered_by
SELECT i.prompt_sha256, i.model, i.parameters_sha256, a.model, coalesce(a.fingerprint, ''),
    min(a.finished_at)
FROM attempts a JOIN items i ON i.key = a.item_key WHERE a.state = 'answered'
    AND a.model IS NOT NULL GROUP BY 1, 2, 3, 4, 5
"""

MIGRATIONS = {1: SCHEMA, 2: BATCH_TABLES, 3: OCCASION_COLUMN, 4: ANSWERED_BY_TABLE}
"""What each version added, in order."""
