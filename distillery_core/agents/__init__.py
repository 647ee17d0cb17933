"""The agents: evidence in code, an optional reading by a model, a decision, a report.

calibration.py         prompt calibration        evaluate.py            evaluation of a model folder
scored.py              a sample with answers     gather.py              measures its evidence
observations.py        what is kept of it        evaluation_evidence.py the evidence as plain values
calibration_lines.py   its verdict's numbers     evaluation_lines.py    its verdict's numbers
calibration_figures.py what else is shown        evaluation_figures.py  what else is shown
grounding.py words.py  did the oracle read       record_check.py        does the record fit
rounds.py pooling.py   no result is forgotten    evaluation.py          judges and writes
scopes.py people.py    classes by others         evaluation_people.py   student beside people
evaluation_files.py    results without a model   evaluation_baselines.py what it must beat
evaluation_points.py   articles for plots        evaluation_calibration.py maps, on test
predicting.py          scores and speed          learning.py            what more labels would buy
incumbent.py           the version before        tripwires.py           what cannot be true
probes.py              attacks on an oracle      prompt_edits.py        proposals as a diff
kept_rounds.py         each round's own folder   comparison.py          two prompts, paired tests
readiness.py           an oracle on random articles

definition.py  agents/<agent>/agent.yaml         reader.py reading.py   a model reads, checked
advice.py      an action for each line           evidence_text.py       what it is shown
publishing.py  writes record and sealed report
"""
