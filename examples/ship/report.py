"""A function that runs on a worker, with a package that the worker has never seen."""

import time

from tabulate import tabulate


def report(prices: dict[str, int], currency: str) -> str:
    """The prices as a table."""
    return tabulate(sorted(prices.items()), headers=["item", currency], tablefmt="github")


if __name__ == "__main__":
    from brrr_client import Client

    with Client() as client:
        for prices in ({"tea": 30, "coffee": 60}, {"cake": 40, "bread": 50}):
            begun = time.monotonic()
            print(client.call(report, prices, currency="francs"))
            print(f"after {time.monotonic() - begun:.1f} s\n")
