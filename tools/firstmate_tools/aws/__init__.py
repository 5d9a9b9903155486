"""AWS as a place that facts come from: sessions made in one place, behind a guard that lets listed reads out alone.

`operations` is the list, `guard` enforces it, `session` opens, `reader` is what a tool is given. Nothing here is
imported before AWS is asked, botocore least of all.
"""
