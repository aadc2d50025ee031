"""A Python client as the contract's first readers write it: grpcio and stubs from `python -m grpc_tools.protoc`.

Usage: client.py STUBS API SCENARIO TARGET, where STUBS is the folder of the generated modules, API is `sync` or `aio` and
TARGET is host:port. Prints what it got as JSON.
"""

import asyncio
import json
import queue
import sys

import grpc

stubs, api, scenario, target = sys.argv[1:]
sys.path.insert(0, stubs)

import agent_pb2  # found in STUBS
import agent_pb2_grpc  # found in STUBS

OPTIONS = [("grpc.enable_http_proxy", 0)]
DEADLINE_S = 1.0


def answer(response):
    return {
        "task_id": response.task_id,
        "content": response.content,
        "usage": [response.usage.prompt_tokens, response.usage.completion_tokens],
        "status": agent_pb2.Status.Name(response.status),
    }


def piece(chunk):
    return [chunk.index, chunk.text, chunk.is_final]


def turn(task_id, content):
    return agent_pb2.ConverseRequest(task_id=task_id, agent_id="remembering", content=content)


def failure(error):
    details = [value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin"]
    return {"code": error.code().name, "details": error.details(), "rich": b"google.rpc.ResourceInfo" in b"".join(details)}


def sync_unary(stub):
    return answer(stub.ProcessTask(agent_pb2.TaskRequest(task_id="task-001", agent_id="echo", content="hello there")))


def sync_stream(stub):
    chunks = []
    for chunk in stub.StreamResponse(agent_pb2.TaskRequest(task_id="task-002", content="one two")):
        chunks.append(piece(chunk))
        if chunk.is_final:
            break
    return chunks


def sync_converse(stub):
    turns = queue.Queue()
    replies = stub.Converse(iter(turns.get, None))
    texts = []
    for number, content in enumerate(["one", "two"]):
        turns.put(turn(f"turn-{number}", content))  # only now, when the turn before it is answered
        for reply in replies:
            texts.append([reply.task_id, *piece(reply), agent_pb2.Status.Name(reply.status)])
            if reply.is_final:
                break
    turns.put(None)
    return {"replies": texts, "ended": next(replies, None) is None}


def sync_error(stub):
    try:
        stub.ProcessTask(agent_pb2.TaskRequest(agent_id="nobody", content="x"))
    except grpc.RpcError as error:
        return failure(error)


def sync_deadline(stub):
    texts = []
    try:
        for chunk in stub.StreamResponse(agent_pb2.TaskRequest(content="x"), timeout=DEADLINE_S):
            texts.append(chunk.text)
    except grpc.RpcError as error:
        return {"before": texts, **failure(error)}


def sync_cancel(stub):
    chunks = stub.StreamResponse(agent_pb2.TaskRequest(content="x"))
    first = next(chunks)
    chunks.cancel()
    try:
        next(chunks)
    except grpc.RpcError as error:
        return {"before": [first.text], **failure(error)}


async def aio_unary(stub):
    request = agent_pb2.TaskRequest(task_id="task-001", agent_id="echo", content="hello there")
    return answer(await stub.ProcessTask(request))


async def aio_stream(stub):
    chunks = []
    async for chunk in stub.StreamResponse(agent_pb2.TaskRequest(task_id="task-002", content="one two")):
        chunks.append(piece(chunk))
        if chunk.is_final:
            break
    return chunks


async def aio_converse(stub):
    call = stub.Converse()
    texts = []
    for number, content in enumerate(["one", "two"]):
        await call.write(turn(f"turn-{number}", content))  # only now, when the turn before it is answered
        while not texts or texts[-1][0] != f"turn-{number}" or not texts[-1][3]:
            reply = await call.read()
            texts.append([reply.task_id, *piece(reply), agent_pb2.Status.Name(reply.status)])
    await call.done_writing()
    return {"replies": texts, "ended": await call.read() is grpc.aio.EOF}


async def aio_error(stub):
    try:
        await stub.ProcessTask(agent_pb2.TaskRequest(agent_id="nobody", content="x"))
    except grpc.aio.AioRpcError as error:
        return failure(error)


async def aio_deadline(stub):
    texts = []
    try:
        async for chunk in stub.StreamResponse(agent_pb2.TaskRequest(content="x"), timeout=DEADLINE_S):
            texts.append(chunk.text)
    except grpc.aio.AioRpcError as error:
        return {"before": texts, **failure(error)}


async def aio_cancel(stub):
    call = stub.StreamResponse(agent_pb2.TaskRequest(content="x"))
    first = await call.read()
    call.cancel()
    try:
        await call.read()
    except asyncio.CancelledError:
        return {"before": [first.text], "code": (await call.code()).name}


def run_sync(play):
    with grpc.insecure_channel(target, options=OPTIONS) as channel:
        return play(agent_pb2_grpc.AgentServiceStub(channel))


async def run_aio(play):
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        return await play(agent_pb2_grpc.AgentServiceStub(channel))


play = globals()[f"{api}_{scenario}"]
print(json.dumps(run_sync(play) if api == "sync" else asyncio.run(run_aio(play))))
