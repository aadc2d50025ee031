"""The server that articles show: Python, asyncio, grpc.aio, stubs from the contract as first published."""

import asyncio
import json
import sys

import agent_pb2
import agent_pb2_grpc
import grpc.aio

ANSWER = "Tuesday 14:30 to 15:00 works: Ana leaves her review at 14:15, and Ben has nothing before 16:00 that day."
CHUNKS_PER_STREAM = 2_000


class AgentService(agent_pb2_grpc.AgentServiceServicer):
    async def ProcessTask(self, request, context):
        return agent_pb2.TaskResponse(
            task_id="task-000001",
            content=ANSWER,
            usage=agent_pb2.TokenUsage(prompt_tokens=128, completion_tokens=32),
            status=agent_pb2.COMPLETED,
        )

    async def StreamResponse(self, request, context):
        for index in range(CHUNKS_PER_STREAM):
            yield agent_pb2.TokenChunk(task_id="task-000001", text=" Tuesday", index=index)


async def main():
    server = grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentService(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"port": port}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the benchmark is over
    await server.stop(None)


asyncio.run(main())
