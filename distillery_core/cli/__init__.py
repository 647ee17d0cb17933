"""The `distillery` command: parses, prints, and sets the exit code; the work is done below.

main.py    entry point, errors -> exit codes    app.py       the table of verbs, loaded lazily
verb.py    makes one verb's typer app           options.py   options that several verbs share
console.py printing that no text can steer      work.py      progress bars and plain lines
money.py   projection and the question first    results.py   verdicts and summaries as text, JSON
health.py  what `doctor` looks at               reference.py writes docs/cli.md from the above
calibration_modes.py  `calibrate --oracle-check` and `--compare`
review_terminal.py  asks a person about articles, one by one
batches.py what `label --provider-batch` does before labels are written
labelling.py  whom `label` asks, and what it prints
training_run.py  what stands around a run of `train`: processes, Ctrl-C
verbs/     one module per verb
"""
