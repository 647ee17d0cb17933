"""Publishing: which version of a filter is in use.

promotion.py   filters/<name>/promoted.yaml, its history, and the way back
"""
