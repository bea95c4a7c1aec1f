"""Pages: for a person, what a version is worth, before it is promoted and afterwards; for Prometheus, what a run did.

``version_page.py`` and ``backtest_page.py`` hold what the pages say, ``words.py`` how figures become words,
``plots.py`` and ``backtest_plots.py`` draw, and ``templates/`` lays out; matplotlib and jinja2 load when a page is
rendered, not before. ``prometheus.py`` needs neither.
"""
