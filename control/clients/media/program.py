"""Clients in Python as programs: the other side of program.mjs."""

import asyncio
import inspect
import json
import sys
import traceback


async def serve(engine):
    """Calls the methods that standard input asks for, until it ends. A method may be a coroutine."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        request = json.loads(line)
        response = {"id": request["id"]}
        try:
            method = getattr(engine, request["method"])
            result = method(request["params"]) if "params" in request else method()
            response["result"] = await result if inspect.isawaitable(result) else result
        except Exception:
            response["error"] = traceback.format_exc()
        print(json.dumps(response), flush=True)
