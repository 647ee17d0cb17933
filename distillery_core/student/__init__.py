"""The student: a small local model that learns to score as the oracle does.

settings.py       what training is asked to do    training_config.py  the same as YAML
dataset_check.py  refusals before it starts       model_factory.py    base, head, tokenizer, padding
shape.py flops.py bases and cards as numbers      plan.py             what fits, how long, what cost
data.py cache.py  articles to token ids, once     batches.py          what is computed together
packing.py       several articles in one row      sharing.py sharding.py  several processes
run.py            a run before its first step     training.py         the loop, top to bottom
optimisation.py   optimizer, schedule, movement   memory.py           memory that runs out
lora.py           adapters, and merging them      selection.py        which epoch is kept
run_state.py resuming.py  checkpoints, resuming   saving.py checkpoint.py  models, whole or not
record.py         history and metadata            model_card.py       what a model was made from
frozen.py frozen_features.py frozen_heads.py headed.py  a head on a base that stays as it is
launch.py         one process a device            device.py           device, precision, threads
predict.py        a saved student to scores       metrics.py finding.py  how far off, what is found
baselines.py      what it must beat               embeddings.py       frozen embeddings of a base
bootstrap.py      intervals of its error          score_calibration.py  maps, intervals
calibrating.py    fits them after training        frozen_baseline.py  what a base knows untrained
plain.py          read with plain transformers    testing.py          tiny real students for tests

Importing this package loads neither torch nor transformers; the modules that compute do.
"""
