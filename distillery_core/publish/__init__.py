"""Publishing: which version of a filter is in use, and where it goes from here.

promotion.py   filters/<name>/promoted.yaml, its history, and the way back
hub.py         the model hub: upload, download again
"""
