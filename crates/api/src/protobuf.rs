//! Kubernetes' protobuf, driven by the schema table.
