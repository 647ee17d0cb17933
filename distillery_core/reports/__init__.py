"""Reports: how numbers and untrusted texts become markdown, tables and plots.

markdown.py    text that nothing in it can break out of     formatting.py  numbers, each one way
templates.py   the Jinja environment of report templates    plots.py       PNG files, deterministic
examples.py    a table of example scores                    agreement.py   bias and noise of oracles
facts.py       what a report shows, as plain data           record.py      all of it as JSON, hashed
rendering.py   from the record to the markdown              line_table.py  the verdict table of it
views.py       what plots need of it                        svg.py         plots inside a page
html.py        markdown as HTML that cannot run             page.py        one page, nothing fetched
comment.py     a pull request's comment and check
training_record.py a run's own files, checked   training_plots.py how it went, as PNG
training_conclusions.py what follows by rule     training_summary.py the numbers as text
more_epochs.py whether more may be advised
training_document.py the Word report             training_tables.py its tables of results
word.py        a Word document's parts
hub_card.py    the card of a published model     calibration_words.py which scores an error is of
"""
