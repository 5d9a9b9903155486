"""The causes by section: one module each, one row a cause. `causes.py` puts them together and says what a row means."""
