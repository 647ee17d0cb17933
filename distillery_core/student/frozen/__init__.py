"""A head on a base that stays as it is: the cheap rung.

training.py       from top to bottom              settings.py         what is asked of it
reading.py base.py  what it begins with           fitting.py          the head, fitted
record.py         what is written down            untrained.py        what a base knows without it
"""
