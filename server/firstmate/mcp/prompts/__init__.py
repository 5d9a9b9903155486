"""The prompts: how people start. `server.py` lists, renders and completes them through `serving.py`.

One module each: `triage.py`, `explain_alert.py`, `postmortem.py`; `guide.py` is what they are written with. A prompt
tells a model which tools to call with which arguments. Must never call a tool or ask a cluster itself.
"""
