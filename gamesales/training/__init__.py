"""Train a Keras network on past titles, and export it as one scoring graph."""
