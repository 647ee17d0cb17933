"""The student: a small local model that learns to score as the oracle does.

settings.py      what training is asked to do     model_factory.py  base, head, tokenizer, pad token
dataset_check.py refusals before it starts        training.py       the loop, top to bottom
data.py          articles to token ids            batches.py        what is computed together
device.py        device, precision, threads       record.py         history and metadata
checkpoint.py    model folders, whole or not      model_card.py     what a model was made from
predict.py       a saved student to scores        metrics.py        how far it is off
baselines.py     what it must beat                embeddings.py     frozen embeddings of a base
bootstrap.py     intervals of its error           score_calibration.py  maps, intervals
calibrating.py   fits them after training         frozen_baseline.py what a base knows untrained
testing.py       tiny real students for tests

Importing this package loads neither torch nor transformers; the modules that compute do.
plain.py          a model folder read with plain transformers, as a stranger would
"""
