"""Makes a component of a function and of what it imports, for `client.call`.

- function: which function of which module is meant; closure: the modules and packages that it imports
- project: builds the component by `brrr-host build`, once for each content
- values: arguments and results in Python's own types
"""
