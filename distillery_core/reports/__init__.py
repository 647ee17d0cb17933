"""Reports: how numbers and untrusted texts become markdown, tables and plots.

markdown.py    text that nothing in it can break out of     formatting.py  numbers, each one way
templates.py   the Jinja environment of report templates    plots.py       PNG files, deterministic
examples.py    a table of example scores
"""
