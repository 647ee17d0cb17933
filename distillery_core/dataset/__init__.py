"""Datasets: from files of articles and labels to three splits that a student can be trained on.

Reading    lines.py     bytes to lines, bounded        rows.py       lines to articles, examples
           labels.py    analyses to checked labels     rejects.py    what could not be used, and why
           seen.py      a compact set of keys          answers.py    the answers behind a label
Sampling   junk.py      is this an article at all?     classes.py    on topic, off topic or edge
           sampling.py  the stratified, seeded draw    similarity.py classes by seed sentences
People     judgements.py what they judged           judgement_table.py  the same as CSV
Texts      shingles.py  texts to hashed shingles       duplicates.py identical, nearly identical
           leaks.py     do splits share a text?
Preparing  collect.py   the first pass                 split.py      train, validation and test
           quality.py   Dataset QA                     manifest.py   what a dataset was made from
           describe.py  findings as a manifest         prepare.py    labelled file to dataset folder
"""
