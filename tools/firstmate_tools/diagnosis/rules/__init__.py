"""The rules, one module per family. A new rule is a new function in one of these, or a new module beside them."""
