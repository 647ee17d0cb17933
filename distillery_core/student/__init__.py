"""The student: a small local model that learns to score as the oracle does.

model_factory builds it, data feeds it, training fits it, checkpoint saves it, predict uses it;
metrics and baselines say how good it is. Importing this package loads neither torch nor
transformers; the modules that compute do.
"""
