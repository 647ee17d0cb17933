"""Oracles: the large models that are asked, what they cost, and the book that is kept about it.

spec.py           oracles.yaml                     ledger.py         the book of all calls (SQLite)
client.py         request, reply, failure kinds    ledger_job.py     its one writer a filter
opening.py        opens an oracle by provider      ledger_report.py  sums and listings of it
openai_client.py  any OpenAI-compatible address    ledger_schema.py  its tables
replay_client.py  recorded answers, replayed       writer_lock.py    dies with its holder
replay_server.py  the server behind it             prices.py         cost in whole nano-dollars
recording.py      the recording's files            asking.py         one question to its end
faults.py         what the server can do wrong     steps.py          what to do after each attempt
ladder.py         answer formats, rung by rung     flow.py           concurrency, waiting, stopping
"""
