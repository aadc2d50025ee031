import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { AgentService } from "convoke/contract";
import { writeMessage } from "convoke/wire";

/**
 * The service for grpc-js and nice-grpc, on the same generated schema, written by Convoke's own writer and read by protobuf-es. So they read and
 * write messages exactly as fast as Convoke does, and only the wire differs.
 */
export const agentService = {
  processTask: define(AgentService.method.processTask, { requestStream: false, responseStream: false }),
  streamResponse: define(AgentService.method.streamResponse, { requestStream: false, responseStream: true }),
  converse: define(AgentService.method.converse, { requestStream: true, responseStream: true }),
};

interface Method<Input extends DescMessage, Output extends DescMessage> {
  readonly name: string;
  readonly input: Input;
  readonly output: Output;
}

function define<
  Input extends DescMessage,
  Output extends DescMessage,
  Kind extends { requestStream: boolean; responseStream: boolean },
>(method: Method<Input, Output>, kind: Kind) {
  return {
    path: `/${AgentService.typeName}/${method.name}`,
    ...kind,
    requestSerialize: serializerOf(method.input),
    requestDeserialize: deserializerOf(method.input),
    responseSerialize: serializerOf(method.output),
    responseDeserialize: deserializerOf(method.output),
    options: {}, // nice-grpc wants them
  };
}

function serializerOf<Schema extends DescMessage>(schema: Schema) {
  return (message: MessageShape<Schema>): Buffer => {
    const bytes = writeMessage(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength); // a view, no copy
  };
}

function deserializerOf<Schema extends DescMessage>(schema: Schema) {
  return (bytes: Uint8Array): MessageShape<Schema> => fromBinary(schema, bytes);
}
