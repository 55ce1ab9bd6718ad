"""The gRPC interface. `reelsift_pb2*` are generated: reelsift.proto says how."""
