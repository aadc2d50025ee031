"""A grpc.aio server of the contract as first published, as Python programs write it. See the agents in foreign-server.ts.

Usage: server.py STUBS, where STUBS is the folder of the generated modules. Prints its port, and serves until standard input ends.
"""

import asyncio
import collections
import sys

sys.path.insert(0, sys.argv[1])

import grpc

import agent_pb2  # found in STUBS
import agent_pb2_grpc  # found in STUBS
from google.rpc import error_details_pb2, status_pb2  # found in STUBS

ended = collections.defaultdict(asyncio.Event)


async def tell(context):
    """Sends what was asked in the metadata, in front and behind."""
    asked = [(key, value) for key, value in context.invocation_metadata() if key in ("x-ask", "x-ask-bin")]
    if ("x-compress", "gzip") in context.invocation_metadata():
        context.set_compression(grpc.Compression.Gzip)
    await context.send_initial_metadata(asked)
    trailer = tuple((key.replace("x-ask", "x-after"), value) for key, value in asked)
    context.set_trailing_metadata(trailer)
    return trailer


async def fail(context, trailer):
    message = "der Kalender ist schreibgeschützt"
    status = status_pb2.Status(code=grpc.StatusCode.FAILED_PRECONDITION.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="TESTED", domain="test"))
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message, trailer + details)


async def wait(task_id):
    """Waits for the end of the call, and never answers."""
    try:
        await asyncio.Event().wait()
    finally:
        ended[task_id].set()


class AgentService(agent_pb2_grpc.AgentServiceServicer):
    async def ProcessTask(self, request, context):
        trailer = await tell(context)
        content = request.content
        if request.agent_id == "failing":
            await fail(context, trailer)
        elif request.agent_id == "late":
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late for the server")
        elif request.agent_id == "timed":
            content = str(context.time_remaining() * 1000)
        elif request.agent_id == "witness":
            await ended[request.content].wait()
            content = "ended"
        elif request.agent_id == "waiting":
            await wait(request.task_id)
        return agent_pb2.TaskResponse(task_id=request.task_id, content=content)

    async def StreamResponse(self, request, context):
        trailer = await tell(context)
        if request.agent_id == "waiting":
            try:
                yield agent_pb2.TokenChunk(task_id=request.task_id, text="first")
                await wait(request.task_id)
            finally:  # a cancel may come before the wait has begun
                ended[request.task_id].set()
        for index, text in enumerate(request.content.split(" ")):
            yield agent_pb2.TokenChunk(task_id=request.task_id, text=text, index=index)
        if request.agent_id == "failing":
            await fail(context, trailer)

    async def Converse(self, requests, context):
        await tell(context)
        async for request in requests:
            yield agent_pb2.ConverseResponse(text=request.content + "!", is_final=True)


async def main():
    server = grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentService(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"port {port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(None)


asyncio.run(main())
