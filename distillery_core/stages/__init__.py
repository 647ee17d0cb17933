"""Stages: what one verb, or one step of a pipeline, does over a project's folders.

Plain functions that never print; verbs and steps are thin around them.

project.py  where things lie, and how a plugin's filter comes to live in a project
oracles.py  which oracle is asked, and how evidence names it
sample.py   draw a stratified sample               repeats.py   second answers, noise floor
calibrate.py one calibration or validation round   label.py     a batch behind its gate
prepare.py  labelled articles to a dataset         train.py     the student
evaluate.py judge it                               gates.py     gates and approvals
promote.py  put it into use, and go back           score.py     use it
status.py   where every filter stands
"""
