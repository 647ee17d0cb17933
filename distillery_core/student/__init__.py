"""The student: a small local model that learns to score as the oracle does.

settings.py       what training is asked to do    training_config.py  the same as YAML
dataset_check.py  refusals before it starts       model_factory.py    base, head, tokenizer, padding
shape.py flops.py peak.py  bases, cards as numbers step_memory.py      what a step needs
target.py         the device to plan for          plan.py plan_text.py  what fits, hours, cost
base_folder.py    a name that is a folder
data.py cache.py  articles to token ids, once     batches.py          what is computed together
packing.py attention.py  several in one row       last_layer.py       only what the head reads
mean_pooling.py   what the head of BERT reads     device.py           device, precision, threads
sharing.py sharding.py  several processes         launch.py           one process a device
auto.py           what `auto` comes to            arrangement.py      packed, padded, how much
container.py      memory that a container leaves  tolerances.py       what counts as the same
without_effect.py asked for and not read
beginning.py      a run before its first step     run.py              what its epochs share
run_articles.py   its articles, and their weights head_init.py        the head before the first step
training.py       the loop, top to bottom         training_step.py    one step of it
evaluating.py     each epoch's metrics            memory.py           memory that runs out
allocation.py     freed memory, kept              embedding_gradient.py  only of tokens that occur
optimisation.py   optimizer, schedule, movement   selection.py        which epoch is kept
lora.py           adapters, and merging them      metrics.py finding.py  how far off, what is found
run_state.py checkpoint_tensors.py run_checkpoint.py checkpoint_folder.py checkpoint_files.py
resuming.py                                       a run put down and taken up again
saving.py checkpoint.py  models, whole or not     whole_folder.py     any folder, whole or not
result.py         what a run leaves behind
record.py         history and metadata            recorded.py         read back: which method
model_card.py     what a model was made from
frozen.py         a head on a base that stays as it is, top to bottom
frozen_base.py frozen_features.py frozen_reading.py  what that base makes of articles, once
frozen_heads.py frozen_fitting.py headed.py       heads, fitted; one of ours beside its base
frozen_settings.py frozen_record.py               what is asked of it, what is written down
predict.py        a saved student to scores
baselines.py      what it must beat               bootstrap.py        intervals of its error
chance.py         how much of a metric is chance
embeddings.py     frozen embeddings of a base     frozen_baseline.py  what a base knows untrained
score_calibration.py  maps, intervals             calibrating.py      fits them after training
plain.py          read with plain transformers    testing.py          tiny real students for tests

Importing this package loads neither torch nor transformers; the modules that compute do.
"""
