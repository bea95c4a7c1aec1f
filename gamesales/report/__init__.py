"""HTML pages about versions, searches and backtests, and the metrics page of a scoring run.

An HTML page is made of a dataclass or a JSON document with the content, plots drawn as SVG, and a Jinja template.
matplotlib and jinja2 are imported when a page is rendered. The metrics page is plain text in Prometheus's format.
"""
