"""The student: a small local model that learns to score as the oracle does.

computing/        how a step is computed          planning/           what a run will need
measures/         how far off a student is        checkpoints/        what a cut run goes on from
frozen/           a head on a base that stays as it is

settings.py       what training is asked to do    training_config.py  the same as YAML
dataset_check.py  refusals before it starts       without_effect.py   asked for and not read
base_folder.py    a name that is a folder         model_factory.py    base, head, tokenizer, padding
mean_pooling.py   what the head of BERT reads     lora.py             adapters, and merging them
data.py cache.py  articles to token ids, once     arrangement.py      packed, padded, how much
launch.py         one process a device            peak.py             what a device can do at most
beginning.py      a run before its first step     run.py              what its epochs share
run_articles.py   its articles, and their weights head_init.py        the head before the first step
training.py       the loop, top to bottom         training_step.py    one step of it
evaluating.py     each epoch's metrics            selection.py        which epoch is kept
optimisation.py   optimizer, schedule, movement   resuming.py         a run taken up again
features.py       what a base makes of articles   heads.py headed.py  heads of ours, beside a base
saving.py         the best model, checked         model_folder.py     models, whole or not
model_card.py     what a model was made from      whole_folder.py     any folder, whole or not
record.py         history and metadata            recorded.py         read back: which method
result.py         what a run leaves behind        tolerances.py       what counts as the same
calibrating.py    maps and intervals, after it    chance.py           how much of a metric is chance
predict.py        a saved student to scores       embeddings.py       of articles, by a base
plain.py          read with plain transformers    testing.py          tiny real students for tests

Importing this package loads neither torch nor transformers; the modules that compute do.
"""
