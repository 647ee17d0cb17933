"""The ZenML pipelines; `zenml` is imported by the pipeline modules only, never by this package.

calibrate.py  label.py     one pipeline each     wiring.py       the parts that pipelines share
prepare.py    train.py                           scope.py        filter, oracle, files of a run
evaluate.py                                      depends.py      what each step is cached by
distill.py    the whole way                      training_options.py  settings that a run may give
run.py        runs one for a verb                run_file.py     checks a run's YAML
environment.py  ZenML's store of a project       checked.py      stops at the first failed step
tracker.py    the stack's experiment tracker     stage.py  a verb's promotion, shown in ZenML
"""
