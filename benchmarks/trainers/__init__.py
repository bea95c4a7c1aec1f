"""Ways to train the network of the course, 9-50-100-50-1 with ReLU. Each is a module that runs in a new process.

A module holds a docstring that describes the method, a LABEL, and ``main(train, test, seed)``;
benchmarks/trainer.py describes the answer. With ROWS it trains on this number of simulated titles instead. A CASE names
another table than that of the course's network.
"""
