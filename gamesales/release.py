"""Which gamesales this is; pyproject.toml says the same, as a test holds."""

RELEASE = "0.1.0"
