"""HTML pages about versions, searches, backtests and scoring runs, and the metrics page of a scoring run.

An HTML page is made of a dataclass or a JSON document with the content, plots drawn as SVG, and a Jinja template.
matplotlib and jinja2 are imported when a page is rendered. A scoring host has neither of them, so the page of a run is
made by the functions of ``html.py`` and ``histogram.py``. The metrics page is plain text in Prometheus's format.
"""
