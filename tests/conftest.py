"""What holds for the properties of all suites: how long an example takes on a busy machine says nothing about it.

Bars of time are tests of their own, and measure the CPU time of what they are about.
"""

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:
    pass  # tests/semantic runs in an environment of its own, which has no property to test
else:
    settings.register_profile("firstmate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("firstmate")
