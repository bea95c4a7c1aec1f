"""Ways to train the course's network, 9-50-100-50-1 with ReLU. Each is a module that runs in a fresh process.

See ``benchmarks/trainer.py`` for its arguments and its answer. It holds a docstring that says who would do it so, a
LABEL, and ``main(train, test, answer, seed)``.
"""
