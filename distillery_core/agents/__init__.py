"""The two agents: evidence in code, an optional reading by a model, a decision, a report.

calibration.py         prompt calibration        evaluate.py            evaluation of a model folder
scored.py              a sample with answers     gather.py              measures its evidence
observations.py        what is kept of it        evaluation_evidence.py the evidence as plain values
calibration_lines.py   its verdict's numbers     evaluation_lines.py    its verdict's numbers
calibration_figures.py what else is shown        evaluation_figures.py  what else is shown
grounding.py words.py  did the oracle read       record_check.py        does the record fit
rounds.py pooling.py   no result is forgotten    evaluation.py          judges and writes
scopes.py              blind scope judgements

definition.py  agents/<agent>/agent.yaml         reader.py reading.py   a model reads, checked
advice.py      an action for each line           evidence_text.py       what it is shown
line_table.py  the verdict table as markdown     publishing.py          writes a sealed report
"""
