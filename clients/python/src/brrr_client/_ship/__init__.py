"""Makes a component of a function and of what it imports, for `client.call`.

- function: which function of which module is meant; closure: the modules and packages that it imports
- imports: the imports of a module; modules: where a module is; native: refuses functions that need native code
- project: builds the component by `brrr-host build`, once for each content; cache: where it is kept, and for how long
- values: arguments and results in Python's own types
"""
