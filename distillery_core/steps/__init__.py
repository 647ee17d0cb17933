"""ZenML steps, a few lines each around the functions of `distillery_core.stages`.

calibrate.py label.py prepare.py    one stage each      gates.py     never cached, fail the run
train.py evaluate.py promote.py                         existing.py  what already lies there
work.py           project, filter, listeners            verdict.py   values between steps
project_files.py  files kept by content, put back       materializer.py  how ZenML keeps them
reports.py        reports as markdown artefacts         spending.py  money beside the step
model_stage.py    a promotion in ZenML's models         waiting.py   a REVIEW that is waited for
"""
