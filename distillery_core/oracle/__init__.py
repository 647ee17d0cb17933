"""Oracles: the large models that are asked, what they cost, and the book that is kept about it.

spec.py           oracles.yaml                     ledger.py         the book of all calls (SQLite)
client.py         request, reply, failure kinds    ledger_job.py     its one writer a filter
opening.py        opens an oracle by provider      ledger_report.py  sums and listings of it
openai_client.py  any OpenAI-compatible address    ledger_schema.py  its tables
replay_client.py  recorded answers, replayed       writer_lock.py    dies with its holder
replay_server.py  the server behind it             prices.py         cost in whole nano-dollars
recording.py      the recording's files            asking.py         one question to its end
faults.py         what the server can do wrong     steps.py          what to do after each attempt
ladder.py         answer formats, rung by rung     flow.py           concurrency, waiting
questions.py      what is asked, and outcomes      stopping.py       when a run ends early
reserving.py      money before each call           fingerprints.py   another model behind the name
group_commit.py   many changes, one commit         rate_headers.py   limits that replies report
chat_reply.py     the body of a reply, read        rate_limits.py    requests, tokens a minute
replay_limits.py  the server's own limits          pacing.py         starts of calls, spread

provider_batch.py       what a provider's batch is     provider_batch_openai.py  OpenAI's endpoints
provider_batch_send.py  uploads, creates once, finds   provider_batch_collect.py settles results
ledger_batches.py       batches in the ledger          replay_batches.py         served by replay
"""
