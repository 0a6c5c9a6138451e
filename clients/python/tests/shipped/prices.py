"""A module that a shipped function needs."""

CENTS = {"tea": 300, "bücher": 1250}
