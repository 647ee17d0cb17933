"""Scoring: pre-filter, student and score rules over many articles.

scorer.py  one window of articles to results    stream.py  a file to a file, line by line
"""
