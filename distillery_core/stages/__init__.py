"""Stages: what one verb, or one step of a pipeline, does over a project's folders.

Plain functions that never print; verbs and steps are thin around them.

project.py  where things lie, and how a plugin's filter comes to live in a project
oracles.py  which oracle is asked, and how evidence names it
sample.py   draw a stratified sample               repeats.py   second answers, noise floor
calibrate.py one calibration or validation round   label.py     a batch behind its gate
asking.py   the oracle about a few articles        probes.py    the same with attacks in them
readiness.py an oracle on random articles          compare.py   two prompts on the same articles
round_projection.py  what a round will cost
prepare.py  labelled articles to a dataset         train.py     the student
quick_look.py how good it is, before it is judged
evaluate.py judge it                               gates.py     gates and approvals
promote.py  put it into use, and go back           score.py     use it
status.py   where every filter stands              agreement.py bias and noise of several answers
label_several.py a batch with several answers      kept_reports.py which one speaks for an oracle
review.py   people judge articles, blind           review_page.py the same on a local page
report.py   reports as they stand, as a page       pull_request.py what a pull request changes
base_files.py files as they were at a commit
report_training.py plots, Word report              publish.py   a model to the hub and back
evaluation_folder.py where the report on a model lies
training_folders.py one training run a folder, its checkpoints apart
versions.py  the incumbent, and all other versions
provider_batch.py label by provider batches, behind the same gate
"""
