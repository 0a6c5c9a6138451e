"""`python -m shop --gateway http://127.0.0.1:8080 --token-file FILE [--port 8000]`: the web application, on this machine only."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from brrr_client import AsyncClient

from shop.web import application

parser = argparse.ArgumentParser(prog="shop", description="A web shop whose orders are jobs of brrr-host.")
parser.add_argument("--gateway", required=True, help="the address of the gateway")
parser.add_argument("--token-file", type=Path, required=True, help="the file with the token of the gateway")
parser.add_argument("--port", type=int, default=0, help="the port of the shop (0: a free one)")
args = parser.parse_args()

app = application(AsyncClient(args.gateway, token=args.token_file.read_text().strip()))
# An open page follows its events without end: it is cut off, and connects again.
config = uvicorn.Config(app, host="127.0.0.1", port=args.port, log_level="warning", timeout_graceful_shutdown=1)
socket = config.bind_socket()
print(f"the shop is on http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
uvicorn.Server(config).run(sockets=[socket])
