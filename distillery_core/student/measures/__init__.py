"""How far off a student is, and what that is worth.

metrics.py        errors, correlations, ranks     finding.py          what a needle filter finds
bootstrap.py      intervals of an error           baselines.py        what a student must beat
score_calibration.py  maps of scores, intervals
"""
