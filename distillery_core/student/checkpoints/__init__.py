"""What training goes on from after it was cut off (docs/decisions/0014).

checkpoint.py     one, written and read           state.py tensors.py  what it holds
folder.py         which ones there are            files.py            what they are called
"""
