"""Pages: for a person, what a trained version is worth, before it is promoted; for Prometheus, what a run did.

``version_page.py`` holds what the page says, ``words.py`` how figures become words, ``plots.py`` draws, and
``templates/`` lays out; matplotlib and jinja2 load when a page is rendered, not before.
``prometheus.py`` needs neither.
"""
