"""What schemathesis must be told of the API: bodies of components are bytes."""

import json

import schemathesis


@schemathesis.serializer("application/wasm")
def wasm(context: schemathesis.SerializationContext, value: object) -> bytes:
    """Whatever was generated, as bytes. Most of it is no component."""
    data = getattr(value, "data", value)
    return data if isinstance(data, bytes) else json.dumps(data, default=str).encode()
