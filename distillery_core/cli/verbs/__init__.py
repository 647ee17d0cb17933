"""One module per verb (or small family of verbs), named as the verb, each holding a typer `app`.

A module imports nothing heavy at its top: what a verb needs is imported inside it.
"""
