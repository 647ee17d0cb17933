"""What a run will need in memory, time and money, told from shapes.

shape.py          a base as numbers               target.py container.py  the device, its memory
step_memory.py    what a step needs               flops.py            what it computes, and how fast
auto.py           what `auto` comes to            plan.py plan_text.py  what fits, hours, cost

bases.json has the shapes of bases that are not at hand, devices.json has cards and prices.
"""
